/* Distinguished names as text (RFC 4514). */
#include "net/tls_name.h"

#include <openssl/objects.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    TEXT = ASN1_STRFLGS_ESC_2253 | ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_UTF8_CONVERT | ASN1_STRFLGS_DUMP_UNKNOWN
           | ASN1_STRFLGS_DUMP_DER,
    HEX = ASN1_STRFLGS_DUMP_ALL | ASN1_STRFLGS_DUMP_DER,
    TYPE_TEXT = 80, /* the numbers of a type, which are cut beyond */
};

/* The short names that are registered for LDAP (RFC 4514 §3, RFC 4519) and found in certificates. */
static const struct {
    int nid;
    const char *name;
} TYPES[] = {
    { NID_commonName, "CN" },
    { NID_organizationName, "O" },
    { NID_organizationalUnitName, "OU" },
    { NID_countryName, "C" },
    { NID_stateOrProvinceName, "ST" },
    { NID_localityName, "L" },
    { NID_streetAddress, "STREET" },
    { NID_domainComponent, "DC" },
    { NID_userId, "UID" },
    { NID_pkcs9_emailAddress, "emailAddress" },
    { NID_serialNumber, "serialNumber" },
    { NID_surname, "SN" },
    { NID_givenName, "givenName" },
    { NID_title, "title" },
    { NID_initials, "initials" },
    { NID_generationQualifier, "generationQualifier" },
    { NID_dnQualifier, "dnQualifier" },
    { NID_postalCode, "postalCode" },
    { NID_businessCategory, "businessCategory" },
    { NID_description, "description" },
};

/* The registered short name of a type, or NULL. */
static const char *short_name(const ASN1_OBJECT *type)
{
    int nid = OBJ_obj2nid(type);
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (TYPES[i].nid == nid)
            return TYPES[i].name;
    return NULL;
}

/* Writes one part: a value that is not text, or not of a known type, as the hexadecimal digits of its encoding. */
static int put_part(BIO *bio, const X509_NAME_ENTRY *part)
{
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(part);
    const ASN1_OBJECT *type = X509_NAME_ENTRY_get_object(part);
    const char *name = short_name(type);
    char numbers[TYPE_TEXT];
    if (name == NULL) {
        (void)OBJ_obj2txt(numbers, sizeof numbers, type, 1);
        return BIO_printf(bio, "%s=", numbers) > 0 && ASN1_STRING_print_ex(bio, value, HEX) > 0;
    }
    if (BIO_printf(bio, "%s=", name) <= 0)
        return 0;
    /* It fails at text that is not of its encoding, of which it writes nothing. */
    return ASN1_STRING_print_ex(bio, value, TEXT) >= 0 || ASN1_STRING_print_ex(bio, value, HEX) > 0;
}

int tri_tls_name_put(BIO *bio, const X509_NAME *name)
{
    int n = X509_NAME_entry_count(name);
    for (int i = n - 1; i >= 0; i--) {
        const X509_NAME_ENTRY *part = X509_NAME_get_entry(name, i);
        bool same = i < n - 1 && X509_NAME_ENTRY_set(part) == X509_NAME_ENTRY_set(X509_NAME_get_entry(name, i + 1));
        if (i < n - 1 && BIO_write(bio, same ? "+" : ",", 1) != 1)
            return 0;
        if (!put_part(bio, part))
            return 0;
    }
    return 1;
}

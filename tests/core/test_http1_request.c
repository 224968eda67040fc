/* Requests as events: what is understood, what is refused, and that no cut of the bytes changes either. */
#include "http1_record.h"

typedef struct sample {
    const char *name;
    const char *input;
    size_t n;
    const char *log;
} sample;

#define CASE(name, input, log)              \
    {                                       \
        name, input, sizeof(input) - 1, log \
    }
#define GET "GET / HTTP/1.1\r\nHost: h\r\n"
#define GOT(flags) "GET / path=/ query= host=h 1.1 " flags "\n host: h\n"
#define POST "POST /p HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define GOT_CHUNKED "POST /p path=/p query= host=h 1.1 KB\n host: h\n transfer-encoding: chunked\n"
#define FIELD(line) GET line "\r\n\r\n"
#define WITH_HOST(host) "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"
#define LENGTH(value) POST "Content-Length: " value "\r\n\r\n"

static const sample accepted[] = {
    CASE("plain", GET "\r\n", GOT("K")),
    CASE("query", "GET /a/b?x=1&y HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET /a/b?x=1&y path=/a/b query=x=1&y host=h 1.1 K\n host: h\n"),
    CASE("empty query", "GET /? HTTP/1.1\r\nHost: h\r\n\r\n", "GET /? path=/ query= host=h 1.1 K\n host: h\n"),
    CASE("second question mark", "GET /?a?b HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET /?a?b path=/ query=a?b host=h 1.1 K\n host: h\n"),
    CASE("two slashes", "GET //x HTTP/1.1\r\nHost: h\r\n\r\n", "GET //x path=//x query= host=h 1.1 K\n host: h\n"),
    CASE("escapes and braces", "GET /%2F{a|b}\"^ HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET /%2F{a|b}\"^ path=/%2F{a|b}\"^ query= host=h 1.1 K\n host: h\n"),
    CASE("method of any case", "get / HTTP/1.1\r\nHost: h\r\n\r\n", "get / path=/ query= host=h 1.1 K\n host: h\n"),
    CASE("odd method", "M-SEARCH!#$ / HTTP/1.1\r\nHost: h\r\n\r\n",
         "M-SEARCH!#$ / path=/ query= host=h 1.1 K\n host: h\n"),
    CASE("HEAD", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD / path=/ query= host=h 1.1 KH\n host: h\n"),
    CASE("empty line first", "\r\n" GET "\r\n", GOT("K")),
    CASE("later minor version", "GET / HTTP/1.7\r\nHost: h\r\n\r\n", GOT("K")),
    CASE("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET / path=/ query= host= 1.0 \n"),
    CASE("HTTP/1.0 kept alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "GET / path=/ query= host= 1.0 K\n connection: Keep-Alive\n"),
    CASE("HTTP/1.0 with both options", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
         "GET / path=/ query= host= 1.0 \n connection: keep-alive, close\n"),
    CASE("HTTP/1.0 with a host", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET / path=/ query= host=h 1.0 \n host: h\n"),
    CASE("HTTP/1.0 expects and upgrades in vain",
         "POST / HTTP/1.0\r\nExpect: 100-continue\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\na",
         "POST / path=/ query= host= 1.0 BL1\n"
         " expect: 100-continue\n upgrade: x\n connection: upgrade\n content-length: 1\n+a\n.\n"),
    CASE("close", FIELD("Connection: close"), GOT("") " connection: close\n"),
    CASE("close among others", FIELD("Connection: ,foo ,\tCLOSE,,"), GOT("") " connection: ,foo ,\tCLOSE,,\n"),
    CASE("close in a second line", FIELD("Connection: foo\r\nConnection: Close"),
         GOT("") " connection: foo\n connection: Close\n"),
    CASE("closed is not close", FIELD("Connection: closed, not-close"), GOT("K") " connection: closed, not-close\n"),
    CASE("upgrade", FIELD("Connection: Upgrade\r\nUpgrade: websocket"),
         GOT("KU") " connection: Upgrade\n upgrade: websocket\n"),
    CASE("upgrade without the option", FIELD("Upgrade: websocket"), GOT("K") " upgrade: websocket\n"),
    CASE("te", FIELD("TE: gzip, Trailers"), GOT("KT") " te: gzip, Trailers\n"),
    CASE("expect without a body", FIELD("Expect: 100-continue"), GOT("K") " expect: 100-continue\n"),
    CASE("expect", POST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nab",
         "POST /p path=/p query= host=h 1.1 KEBL2\n host: h\n expect: 100-Continue\n content-length: 2\n+ab\n.\n"),
    CASE("white space around a value", FIELD("A: \t b c \t "), GOT("K") " a: b c\n"),
    CASE("no white space before a value", FIELD("A:b"), GOT("K") " a: b\n"),
    CASE("empty value", FIELD("A:"), GOT("K") " a: \n"),
    CASE("blank value", FIELD("A: \t"), GOT("K") " a: \n"),
    CASE("high bytes and tabs in a value", FIELD("A: \xc3\xa9\tx~12345678\t90"),
         GOT("K") " a: \xc3\xa9\tx~12345678\t90\n"),
    CASE("every token character", FIELD("!#$%&'*+-.^_`|~09azAZ: x"), GOT("K") " !#$%&'*+-.^_`|~09azaz: x\n"),
    CASE("colon in a value", FIELD("A: b: c"), GOT("K") " a: b: c\n"),
    CASE("repeated fields keep their order", FIELD("A: 1\r\nB: 2\r\nA: 3"), GOT("K") " a: 1\n b: 2\n a: 3\n"),
    CASE("names as long as known ones",
         FIELD("hosu: 1\r\ntf: 1\r\nexpecu: 1\r\nconnectiom: close\r\n"
               "content-lengti: x\r\ntransfer-encodinh: x\r\nupgradf: x"),
         GOT("K") " hosu: 1\n tf: 1\n expecu: 1\n connectiom: close\n"
                  " content-lengti: x\n transfer-encodinh: x\n upgradf: x\n"),
    CASE("absolute-form", "GET HTTP://o.example:81/x?y HTTP/1.1\r\nA: b\r\nHost: h\r\n\r\n",
         "GET HTTP://o.example:81/x?y path=/x query=y host=o.example:81 1.1 K\n a: b\n host: o.example:81\n"),
    CASE("absolute-form, https, no path", "GET https://o HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET https://o path= query= host=o 1.1 K\n host: o\n"),
    CASE("absolute-form, query without a path", "GET http://o?q HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET http://o?q path= query=q host=o 1.1 K\n host: o\n"),
    CASE("absolute-form in HTTP/1.0", "GET http://o/ HTTP/1.0\r\n\r\n", "GET http://o/ path=/ query= host=o 1.0 \n"),
    CASE("asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * path=* query= host=h 1.1 K\n host: h\n"),
    CASE("host with port", WITH_HOST("a-b_c.example:65535"),
         "GET / path=/ query= host=a-b_c.example:65535 1.1 K\n host: a-b_c.example:65535\n"),
    CASE("host with empty port", WITH_HOST("h:"), "GET / path=/ query= host=h: 1.1 K\n host: h:\n"),
    CASE("host with escape", WITH_HOST("%C3%a9!$&'()*+;=~"),
         "GET / path=/ query= host=%C3%a9!$&'()*+;=~ 1.1 K\n host: %C3%a9!$&'()*+;=~\n"),
    CASE("host is IPv4", WITH_HOST("127.0.0.1:8000"),
         "GET / path=/ query= host=127.0.0.1:8000 1.1 K\n host: 127.0.0.1:8000\n"),
    CASE("host is IPv6", WITH_HOST("[::1]:80"), "GET / path=/ query= host=[::1]:80 1.1 K\n host: [::1]:80\n"),
    CASE("host is IPv6, full", WITH_HOST("[1:2:3:4:5:6:7:abCD]"),
         "GET / path=/ query= host=[1:2:3:4:5:6:7:abCD] 1.1 K\n host: [1:2:3:4:5:6:7:abCD]\n"),
    CASE("host is IPv6 with IPv4", WITH_HOST("[::ffff:1.2.3.4]"),
         "GET / path=/ query= host=[::ffff:1.2.3.4] 1.1 K\n host: [::ffff:1.2.3.4]\n"),
    CASE("host is IPv6, six groups and IPv4", WITH_HOST("[1:2:3:4:5:6:1.2.3.4]"),
         "GET / path=/ query= host=[1:2:3:4:5:6:1.2.3.4] 1.1 K\n host: [1:2:3:4:5:6:1.2.3.4]\n"),
    CASE("host is IPv6, nothing", WITH_HOST("[::]"), "GET / path=/ query= host=[::] 1.1 K\n host: [::]\n"),
    CASE("host is IPv6, gap last", WITH_HOST("[1::]"), "GET / path=/ query= host=[1::] 1.1 K\n host: [1::]\n"),
    CASE("length", LENGTH("5") "hello",
         "POST /p path=/p query= host=h 1.1 KBL5\n host: h\n content-length: 5\n+hello\n.\n"),
    CASE("length zero", LENGTH("0"), "POST /p path=/p query= host=h 1.1 KL0\n host: h\n content-length: 0\n"),
    CASE("length with zeros before it", LENGTH("0002") "ab",
         "POST /p path=/p query= host=h 1.1 KBL2\n host: h\n content-length: 0002\n+ab\n.\n"),
    CASE("body of a GET", GET "Content-Length: 1\r\n\r\nx", GOT("KBL1") " content-length: 1\n+x\n.\n"),
    CASE("pipelined",
         GET "\r\n" LENGTH("2") "ab"
                                "HEAD /z HTTP/1.1\r\nHost: h\r\n\r\n",
         GOT("K") "POST /p path=/p query= host=h 1.1 KBL2\n host: h\n content-length: 2\n+ab\n.\n"
                  "HEAD /z path=/z query= host=h 1.1 KH\n host: h\n"),
    CASE("empty line between",
         GET "\r\n"
             "\r\n" GET "\r\n",
         GOT("K") GOT("K")),
    CASE("nothing after close is read", FIELD("Connection: close") GET "\r\n", GOT("") " connection: close\n"),
    CASE("chunked", CHUNKED "5\r\nhello\r\n0\r\n\r\n", GOT_CHUNKED "+hello\n.\n"),
    CASE("chunked, coding of any case", POST "Transfer-Encoding: Chunked \r\n\r\n1\r\na\r\n0\r\n\r\n",
         "POST /p path=/p query= host=h 1.1 KB\n host: h\n transfer-encoding: Chunked\n+a\n.\n"),
    CASE("chunked, several", CHUNKED "1\r\na\r\nA\r\n0123456789\r\n0b\r\n01234567890\r\n0\r\n\r\n",
         GOT_CHUNKED "+a012345678901234567890\n.\n"),
    CASE("chunked, empty", CHUNKED "0\r\n\r\n", GOT_CHUNKED ".\n"),
    CASE("chunked, many zeros", CHUNKED "0000000000000001\r\na\r\n0000000000000000\r\n\r\n", GOT_CHUNKED "+a\n.\n"),
    CASE("chunked, extensions", CHUNKED "1;a=b;c=\"d\te\" \xff\r\nx\r\n0;last\r\n\r\n", GOT_CHUNKED "+x\n.\n"),
    CASE("chunked, empty extension", CHUNKED "1;\r\nx\r\n0\r\n\r\n", GOT_CHUNKED "+x\n.\n"),
    CASE("chunked, trailers", CHUNKED "1\r\nx\r\n0\r\nA: b\r\nc:\r\nD: \te \xff\r\n\r\n", GOT_CHUNKED "+x\n.\n"),
    CASE("chunked, line ends in the data", CHUNKED "4\r\n\r\n\r\n\r\n0\r\n\r\n", GOT_CHUNKED "+\r\n\r\n\n.\n"),
    CASE("chunked, then another", CHUNKED "1\r\nx\r\n0\r\n\r\n" GET "\r\n", GOT_CHUNKED "+x\n.\n" GOT("K")),
    CASE("not all of a head", GET "A: ", ""),
    CASE("not all of a body", LENGTH("5") "he",
         "POST /p path=/p query= host=h 1.1 KBL5\n host: h\n content-length: 5\n+he"),
    CASE("nothing but an empty line", "\r\n", ""),
};

#define REFUSED_HOST "!400 Host is malformed\n"
#define BAD_SIZE GOT_CHUNKED "!400 a chunk size is malformed\n"
#define BAD_CL "!400 Content-Length is malformed\n"
#define BAD_TE "!400 Transfer-Encoding is not chunked alone\n"
#define BOTH "!400 Content-Length comes with Transfer-Encoding\n"

/* Each is followed by a good request, of which nothing may be seen. */
static const sample refused[] = {
    CASE("two empty lines first", "\r\n\r\n", "!400 more than one empty line comes before the request\n"),
    CASE("CR alone first", "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", "!400 the method is malformed\n"),
    CASE("LF alone first", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "!400 a line ends with LF alone\n"),
    CASE("bare LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", "!400 a line ends with LF alone\n"),
    CASE("bare LF after a field", "GET / HTTP/1.1\r\nHost: h\n\r\n", "!400 a line ends with LF alone\n"),
    CASE("bare LF as the last line", GET "\n", "!400 a line ends with LF alone\n"),
    CASE("bare CR in the target", "GET /\ra HTTP/1.1\r\n", "!400 the target is malformed\n"),
    CASE("bare CR in a name", GET "A\rB: x\r\n", "!400 a field name is malformed\n"),
    CASE("bare CR in a value", GET "A: x\ry\r\n", "!400 a field value has a control character\n"),
    CASE("bare CR at a value's end", GET "A: x\r\r\n", "!400 a field value has a control character\n"),
    CASE("bare CR as a line", GET "\r\r\n", "!400 a field name is malformed\n"),
    CASE("folded line", GET "A: x\r\n y\r\n", "!400 a field line is folded\n"),
    CASE("folded line with a tab", GET "A: x\r\n\ty: z\r\n", "!400 a field line is folded\n"),
    CASE("white space before the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", "!400 a field line is folded\n"),
    CASE("NUL in a value", GET "A: x\0y\r\n", "!400 a field value has a control character\n"),
    CASE("NUL in a name", GET "A\0: x\r\n", "!400 a field name is malformed\n"),
    CASE("NUL in the target", "GET /\0 HTTP/1.1\r\n", "!400 the target is malformed\n"),
    CASE("NUL in the method", "G\0T / HTTP/1.1\r\n", "!400 the method is malformed\n"),
    CASE("control in a long value",
         GET "A: 0123456789\x1f"
             "0123456789\r\n",
         "!400 a field value has a control character\n"),
    CASE("DEL in a value",
         GET "A: 0123456\x7f"
             "0\r\n",
         "!400 a field value has a control character\n"),
    CASE("vertical tab in a value", GET "A: \v\r\n", "!400 a field value has a control character\n"),
    CASE("white space before the colon", GET "A : x\r\n", "!400 a field name is malformed\n"),
    CASE("tab before the colon", GET "A\t: x\r\n", "!400 a field name is malformed\n"),
    CASE("empty name", GET ": x\r\n", "!400 a field name is malformed\n"),
    CASE("no colon", GET "Ax\r\n", "!400 a field name is malformed\n"),
    CASE("separator in a name", GET "A(b: x\r\n", "!400 a field name is malformed\n"),
    CASE("high byte in a name", GET "\xe9: x\r\n", "!400 a field name is malformed\n"),
    CASE("no host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", "!400 Host is missing\n"),
    CASE("no host and absolute-form", "GET http://o/ HTTP/1.1\r\n\r\n", "!400 Host is missing\n"),
    CASE("two hosts", GET "hOST: h\r\n", "!400 Host is repeated\n"),
    CASE("two hosts and absolute-form", "GET http://o/ HTTP/1.1\r\nHost: o\r\nHost: o\r\n", "!400 Host is repeated\n"),
    CASE("bad host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a b\r\n", REFUSED_HOST),
    CASE("empty host", WITH_HOST(""), REFUSED_HOST),
    CASE("host list", WITH_HOST("a, b"), REFUSED_HOST),
    CASE("host with comma", WITH_HOST("a,b"), REFUSED_HOST),
    CASE("host with user", WITH_HOST("u@h"), REFUSED_HOST),
    CASE("host with path", WITH_HOST("h/a"), REFUSED_HOST),
    CASE("host with query", WITH_HOST("h?a"), REFUSED_HOST),
    CASE("host with fragment", WITH_HOST("h#a"), REFUSED_HOST),
    CASE("host with backslash", WITH_HOST("h\\a"), REFUSED_HOST),
    CASE("host with high byte", WITH_HOST("h\xe9"), REFUSED_HOST),
    CASE("host with broken escape", WITH_HOST("h%4"), REFUSED_HOST),
    CASE("host with bad escape", WITH_HOST("h%4g"), REFUSED_HOST),
    CASE("port alone", WITH_HOST(":80"), REFUSED_HOST),
    CASE("port with letters", WITH_HOST("h:8o"), REFUSED_HOST),
    CASE("port too large", WITH_HOST("h:65536"), REFUSED_HOST),
    CASE("port too long", WITH_HOST("h:000080"), REFUSED_HOST),
    CASE("port with sign", WITH_HOST("h:+80"), REFUSED_HOST),
    CASE("two ports", WITH_HOST("h:80:80"), REFUSED_HOST),
    CASE("IPv6 without bracket", WITH_HOST("::1"), REFUSED_HOST),
    CASE("IPv6 not closed", WITH_HOST("[::1"), REFUSED_HOST),
    CASE("IPv6, empty", WITH_HOST("[]"), REFUSED_HOST),
    CASE("IPv6, one colon", WITH_HOST("[:]"), REFUSED_HOST),
    CASE("IPv6, three colons", WITH_HOST("[:::]"), REFUSED_HOST),
    CASE("IPv6, two gaps", WITH_HOST("[1::2::3]"), REFUSED_HOST),
    CASE("IPv6, nine groups", WITH_HOST("[1:2:3:4:5:6:7:8:9]"), REFUSED_HOST),
    CASE("IPv6, seven groups", WITH_HOST("[1:2:3:4:5:6:7]"), REFUSED_HOST),
    CASE("IPv6, eight groups and a gap", WITH_HOST("[1:2:3:4:5:6:7::8]"), REFUSED_HOST),
    CASE("IPv6, long group", WITH_HOST("[::12345]"), REFUSED_HOST),
    CASE("IPv6, colon last", WITH_HOST("[1:2:3:4:5:6:7:]"), REFUSED_HOST),
    CASE("IPv6, colon first", WITH_HOST("[:1:2:3:4:5:6:7]"), REFUSED_HOST),
    CASE("IPv6, letters", WITH_HOST("[::g]"), REFUSED_HOST),
    CASE("IPv6, zone", WITH_HOST("[fe80::1%25eth0]"), REFUSED_HOST),
    CASE("IPv6, bad IPv4", WITH_HOST("[::1.2.3.256]"), REFUSED_HOST),
    CASE("IPv6, IPv4 part of four digits", WITH_HOST("[::1.2.3.0004]"), REFUSED_HOST),
    CASE("IPv6, IPv4 part of five digits", WITH_HOST("[::1.2.3.00004]"), REFUSED_HOST),
    CASE("IPv6, IPv4 with a letter", WITH_HOST("[::1.2.3x4]"), REFUSED_HOST),
    CASE("IPv6, short IPv4", WITH_HOST("[::1.2.3]"), REFUSED_HOST),
    CASE("IPv6, long IPv4", WITH_HOST("[::1.2.3.4.5]"), REFUSED_HOST),
    CASE("IPv6, IPv4 with dot last", WITH_HOST("[::1.2.3.4.]"), REFUSED_HOST),
    CASE("IPv6, IPv4 after seven groups and a gap", WITH_HOST("[1:2:3:4:5:6::1.2.3.4]"), REFUSED_HOST),
    CASE("IPv6, IPv4 too late", WITH_HOST("[1:2:3:4:5:6:7:1.2.3.4]"), REFUSED_HOST),
    CASE("IPv6 and more", WITH_HOST("[::1]x"), REFUSED_HOST),
    CASE("another scheme", "GET ftp://o/ HTTP/1.1\r\nHost: h\r\n\r\n", "!400 the target is of no known form\n"),
    CASE("a longer scheme", "GET httpsx://o/ HTTP/1.1\r\nHost: h\r\n\r\n", "!400 the target is of no known form\n"),
    CASE("https and no slashes", "GET https:o/x HTTP/1.1\r\nHost: h\r\n\r\n", "!400 the target is of no known form\n"),
    CASE("http and one slash", "GET http:/o/x HTTP/1.1\r\nHost: h\r\n\r\n", "!400 the target is of no known form\n"),
    CASE("length and coding", POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", BOTH),
    CASE("coding and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", BOTH),
    CASE("coding and length zero", POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", BOTH),
    CASE("differing lengths", POST "Content-Length: 1\r\nContent-Length: 2\r\n", "!400 Content-Length is repeated\n"),
    CASE("repeated length", POST "Content-Length: 1\r\nContent-Length: 1\r\n", "!400 Content-Length is repeated\n"),
    CASE("length list", LENGTH("1, 1"), BAD_CL),
    CASE("length with plus", LENGTH("+1"), BAD_CL),
    CASE("length with minus", LENGTH("-1"), BAD_CL),
    CASE("length with underscore", LENGTH("1_0"), BAD_CL),
    CASE("length with point", LENGTH("1.0"), BAD_CL),
    CASE("length in hex", LENGTH("0x1"), BAD_CL),
    CASE("length empty", LENGTH(""), BAD_CL),
    CASE("length with blank", LENGTH("1 0"), BAD_CL),
    CASE("length overflows", LENGTH("18446744073709551617"), BAD_CL),
    CASE("length of 19 digits", LENGTH("1000000000000000000"), BAD_CL),
    CASE("length in other digits", LENGTH("\xd9\xa1"), BAD_CL),
    CASE("coding gzip", POST "Transfer-Encoding: gzip\r\n", BAD_TE),
    CASE("coding gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n", BAD_TE),
    CASE("coding chunked, gzip", POST "Transfer-Encoding: chunked, gzip\r\n", BAD_TE),
    CASE("coding chunked, chunked", POST "Transfer-Encoding: chunked, chunked\r\n", BAD_TE),
    CASE("coding identity", POST "Transfer-Encoding: identity\r\n", BAD_TE),
    CASE("coding empty", POST "Transfer-Encoding:\r\n", BAD_TE),
    CASE("coding with parameter", POST "Transfer-Encoding: chunked;a=b\r\n", BAD_TE),
    CASE("coding quoted", POST "Transfer-Encoding: \"chunked\"\r\n", BAD_TE),
    CASE("coding with vertical tab", POST "Transfer-Encoding: \vchunked\r\n",
         "!400 a field value has a control character\n"),
    CASE("coding chunke", POST "Transfer-Encoding: chunke\r\n", BAD_TE),
    CASE("two codings", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
         "!400 Transfer-Encoding is repeated\n"),
    CASE("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
         "!400 Transfer-Encoding comes with HTTP/1.0\n"),
    CASE("expectation", POST "Expect: 200-ok\r\n\r\n", "!417 an expectation is not known\n"),
    CASE("expectations", POST "Expect: 100-continue, x\r\n\r\n", "!417 an expectation is not known\n"),
    CASE("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", "!505 the version is not supported\n"),
    CASE("HTTP/3.1", "GET / HTTP/3.1\r\n\r\n", "!505 the version is not supported\n"),
    CASE("HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", "!505 the version is not supported\n"),
    CASE("no version", "GET /\r\n\r\n", "!400 the target is malformed\n"),
    CASE("version in lower case", "GET / http/1.1\r\n", "!400 the version is malformed\n"),
    CASE("long minor version", "GET / HTTP/1.10\r\n", "!400 the version is malformed\n"),
    CASE("short version", "GET / HTTP/1\r\n", "!400 the version is malformed\n"),
    CASE("version with comma", "GET / HTTP/1,1\r\n", "!400 the version is malformed\n"),
    CASE("version with letters", "GET / HTTP/1.x\r\n", "!400 the version is malformed\n"),
    CASE("version of another protocol", "GET / ICAP/1.0\r\n", "!400 the version is malformed\n"),
    CASE("blank behind the version", "GET / HTTP/1.1 \r\n", "!400 the version is malformed\n"),
    CASE("two blanks before the version", "GET /  HTTP/1.1\r\n", "!400 the version is malformed\n"),
    CASE("two blanks before the target", "GET  / HTTP/1.1\r\n", "!400 the target is malformed\n"),
    CASE("tab as separator", "GET\t/ HTTP/1.1\r\n", "!400 the method is malformed\n"),
    CASE("first byte of no method, without a LF", "\x80 GET", "!400 the method is malformed\n"),
    CASE("TLS in place of a request", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
         "!400 TLS is spoken at a port without it\n"),
    CASE("blank first", " GET / HTTP/1.1\r\n", "!400 the method is malformed\n"),
    CASE("method alone", "GET\r\n", "!400 the method is malformed\n"),
    CASE("bad method", "G(T / HTTP/1.1\r\n", "!400 the method is malformed\n"),
    CASE("TLS with a LF", "\x16\x03\x01\x02\x00\x01\x00\x01\n", "!400 TLS is spoken at a port without it\n"),
    CASE("blank in the target", "GET /a b HTTP/1.1\r\n", "!400 the version is malformed\n"),
    CASE("fragment in the target", "GET /a#b HTTP/1.1\r\n", "!400 the target is malformed\n"),
    CASE("high byte in the target", "GET /\xe9 HTTP/1.1\r\n", "!400 the target is malformed\n"),
    CASE("DEL in the target", "GET /\x7f HTTP/1.1\r\n", "!400 the target is malformed\n"),
    CASE("target without slash", "GET a HTTP/1.1\r\n", "!400 the target is of no known form\n"),
    CASE("target of another scheme", "GET ftp://h/ HTTP/1.1\r\n", "!400 the target is of no known form\n"),
    CASE("target with one slash", "GET http:/h HTTP/1.1\r\n", "!400 the target is of no known form\n"),
    CASE("target without authority", "GET http:/// HTTP/1.1\r\n", "!400 the target's authority is malformed\n"),
    CASE("target with user", "GET http://u:p@h/ HTTP/1.1\r\n", "!400 the target's authority is malformed\n"),
    CASE("asterisk for GET", "GET * HTTP/1.1\r\n", "!400 an asterisk as target is for OPTIONS only\n"),
    CASE("asterisk and more", "OPTIONS *a HTTP/1.1\r\n", "!400 the target is of no known form\n"),
    CASE("CONNECT", "CONNECT h:443 HTTP/1.1\r\n", "!501 CONNECT is not supported\n"),
    CASE("connect in lower case", "connect /a HTTP/1.1\r\n", "!501 CONNECT is not supported\n"),
    CASE("head in lower case", "head / HTTP/1.1\r\n", "!501 methods are case-sensitive: HEAD is in upper case\n"),
    CASE("chunk size empty", CHUNKED "\r\n", BAD_SIZE),
    CASE("chunk size with sign", CHUNKED "+1\r\n", BAD_SIZE),
    CASE("chunk size with minus", CHUNKED "-1\r\n", BAD_SIZE),
    CASE("chunk size with 0x", CHUNKED "0x1\r\n", BAD_SIZE),
    CASE("chunk size with underscore", CHUNKED "1_0\r\n", BAD_SIZE),
    CASE("chunk size after blank", CHUNKED " 1\r\n", BAD_SIZE),
    CASE("chunk size before blank", CHUNKED "1 \r\n", BAD_SIZE),
    CASE("blank before an extension", CHUNKED "1 ;a\r\n", BAD_SIZE),
    CASE("chunk size with letters", CHUNKED "g\r\n", BAD_SIZE),
    CASE("chunk size and LF", CHUNKED "1\n", BAD_SIZE),
    CASE("chunk size and NUL", CHUNKED "1\0\r\n", BAD_SIZE),
    CASE("chunk size and CR", CHUNKED "1\r1", GOT_CHUNKED "!400 a line of a chunked body has a CR without LF\n"),
    CASE("chunk size overflows", CHUNKED "10000000000000001\r\n", GOT_CHUNKED "!400 a chunk size is too large\n"),
    CASE("chunk size of 64 bits", CHUNKED "ffffffffffffffff\r\n", GOT_CHUNKED "!400 a chunk size is too large\n"),
    CASE("chunk size of 17 digits", CHUNKED "00000000000000001\r\n", GOT_CHUNKED "!400 a chunk size is too large\n"),
    CASE("sum of chunk sizes", CHUNKED "2\r\nab\r\n3fffffffffffffff\r\n",
         GOT_CHUNKED "+ab\n!400 a chunk size is too large\n"),
    CASE("chunk longer", CHUNKED "1\r\nab\r\n", GOT_CHUNKED "+a\n!400 a chunk is longer than its size\n"),
    CASE("chunk shorter", CHUNKED "3\r\na\r\n0\r\n\r\n", GOT_CHUNKED "+a\r\n\n!400 a chunk is longer than its size\n"),
    CASE("LF behind a chunk", CHUNKED "1\r\na\n", GOT_CHUNKED "+a\n!400 a chunk is longer than its size\n"),
    CASE("CR behind a chunk", CHUNKED "1\r\na\r1",
         GOT_CHUNKED "+a\n!400 a line of a chunked body has a CR without LF\n"),
    CASE("NUL in an extension", CHUNKED "1;\0\r\n", GOT_CHUNKED "!400 a chunk extension has a control character\n"),
    CASE("LF in an extension", CHUNKED "1;a\nx\r\n", GOT_CHUNKED "!400 a chunk extension has a control character\n"),
    CASE("LF behind the last chunk", CHUNKED "0\n\n", BAD_SIZE),
    CASE("LF as the last line", CHUNKED "0\r\n\n", GOT_CHUNKED "!400 a trailer is malformed\n"),
    CASE("CR as the last line", CHUNKED "0\r\n\rx", GOT_CHUNKED "!400 a line of a chunked body has a CR without LF\n"),
    CASE("trailer without colon", CHUNKED "0\r\nA\r\n", GOT_CHUNKED "!400 a trailer is malformed\n"),
    CASE("trailer with empty name", CHUNKED "0\r\n: b\r\n", GOT_CHUNKED "!400 a trailer is malformed\n"),
    CASE("trailer with blank", CHUNKED "0\r\nA : b\r\n", GOT_CHUNKED "!400 a trailer is malformed\n"),
    CASE("trailer folded", CHUNKED "0\r\nA: b\r\n c\r\n", GOT_CHUNKED "!400 a trailer is malformed\n"),
    CASE("trailer with NUL", CHUNKED "0\r\nA: \0\r\n", GOT_CHUNKED "!400 a trailer is malformed\n"),
    CASE("trailer with bare LF", CHUNKED "0\r\nA: b\n\r\n", GOT_CHUNKED "!400 a trailer is malformed\n"),
    CASE("trailer with bare CR", CHUNKED "0\r\nA: b\rc\r\n",
         GOT_CHUNKED "!400 a line of a chunked body has a CR without LF\n"),
    CASE("second request refused",
         GET "\r\n"
             "GET / HTTP/1.1\r\n\r\n",
         GOT("K") "!400 Host is missing\n"),
    CASE("body behind no length", POST "\r\n{}",
         "POST /p path=/p query= host=h 1.1 K\n host: h\n!400 the method is malformed\n"),
};

enum { COUNT_ACCEPTED = sizeof accepted / sizeof *accepted, COUNT_REFUSED = sizeof refused / sizeof *refused };

static record driver;

/* Feeds `n` bytes as pieces of `first`, then of `step` bytes, and compares the events. */
static void run(const sample *item, const char *bytes, size_t n, size_t first, size_t step)
{
    record_init(&driver);
    CHECK(record_open(&driver) == 0);
    for (size_t at = 0, take = first; at < n; at += take, take = step) {
        if (record_state(&driver) & TRI_PROTOCOL_CLOSE)
            break;
        if (take > n - at)
            take = n - at;
        size_t left = record_feed(&driver, bytes + at, take);
        if (left > 0 && driver.log_n > 0)
            break;
    }
    bool same = strcmp(driver.log, item->log) == 0;
    CHECK(same && driver.error == 0);
    if (!same)
        fprintf(stderr, "%s, %zu bytes first, then %zu:\n%s", item->name, first, step, driver.log);
    record_close(&driver);
}

/* In one piece, byte by byte, and cut at every offset. */
static void run_cuts(const sample *item, const char *bytes, size_t n)
{
    run(item, bytes, n, n, n);
    run(item, bytes, n, 1, 1);
    run(item, bytes, n, 2, 3);
    for (size_t cut = 1; cut < n; cut++)
        run(item, bytes, n, cut, n);
}

static void test_refused(const sample *item)
{
    static const char next[] = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    char bytes[512];
    CHECK(item->n + sizeof next <= sizeof bytes);
    memcpy(bytes, item->input, item->n);
    memcpy(bytes + item->n, next, sizeof next - 1);
    run_cuts(item, bytes, item->n + sizeof next - 1);
    record_init(&driver);
    CHECK(record_open(&driver) == 0);
    record_feed(&driver, item->input, item->n);
    record_answer(&driver, 400);
    CHECK(driver.error == 0 && strstr(driver.out, "\r\nconnection: close\r\n") != NULL);
    CHECK(record_state(&driver) == (TRI_PROTOCOL_CLOSE | TRI_PROTOCOL_LINGER));
    record_close(&driver);
}

int main(void)
{
    for (unsigned i = 0; i < COUNT_ACCEPTED; i++)
        run_cuts(&accepted[i], accepted[i].input, accepted[i].n);
    for (unsigned i = 0; i < COUNT_REFUSED; i++)
        test_refused(&refused[i]);
    return check_report();
}

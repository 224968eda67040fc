// A client of Go's net/http for the tests. It prints one line of JSON: what it has seen.
//
//	goclient -ca cert.pem [-http1] parallel URL COUNT     COUNT requests at once, after one that opened the connection
//	goclient -ca cert.pem [-http1] upload URL SIZE        SIZE bytes of unknown length, in pieces with pauses, and a trailer
//	goclient -ca cert.pem [-http1] leave URL              takes the first bytes of an answer and cancels the request
//	goclient -ca cert.pem [-http1] until-eof URL WORKERS  requests one after another until standard input ends, or
//	                                                      connections are refused; with -body N they are POSTs
//	                                                      of so many bytes
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	timeout   = 30 * time.Second
	pieceSize = 10_000
	pause     = 2 * time.Millisecond
	shown     = 5
)

// What is printed.
type report struct {
	Protocols   map[string]int `json:"protocols"`
	Statuses    map[int]int    `json:"statuses"`
	Sizes       map[int]int    `json:"sizes"`
	Connections int            `json:"connections"`
	Refused     int            `json:"refused"`
	Errors      []string       `json:"errors"`
	Failed      int            `json:"failed"`
	Body        string         `json:"body"`
	SHA256      string         `json:"sha256"`
}

// A client, and what it has seen so far.
type client struct {
	http   http.Client
	lock   sync.Mutex
	seen   map[string]bool
	report report
	body   []byte
}

func newClient(ca string, http1 bool) (*client, error) {
	certificate, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate) {
		return nil, errors.New("no certificate in " + ca)
	}
	settings := &tls.Config{RootCAs: roots}
	transport := &http.Transport{TLSClientConfig: settings, ForceAttemptHTTP2: !http1}
	if http1 {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	made := &client{http: http.Client{Transport: transport, Timeout: timeout}, seen: map[string]bool{}}
	made.report.Protocols = map[string]int{}
	made.report.Statuses = map[int]int{}
	made.report.Sizes = map[int]int{}
	return made, nil
}

// Notes which connections are used.
func (c *client) traced(ctx context.Context) context.Context {
	got := func(info httptrace.GotConnInfo) {
		c.lock.Lock()
		defer c.lock.Unlock()
		c.seen[info.Conn.LocalAddr().String()] = true
		c.report.Connections = len(c.seen)
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: got})
}

func (c *client) fail(err error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	var dialing *net.OpError
	if errors.As(err, &dialing) && dialing.Op == "dial" {
		// Also a reset: the kernel answers so while a listening socket is being closed.
		c.report.Refused++
		return
	}
	c.report.Failed++
	if len(c.report.Errors) < shown {
		c.report.Errors = append(c.report.Errors, err.Error())
	}
}

// Sends a request, reads all of its answer and notes both.
func (c *client) do(request *http.Request) {
	answer, err := c.http.Do(request.WithContext(c.traced(request.Context())))
	if err != nil {
		c.fail(err)
		return
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.fail(err)
		return
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.report.Protocols[answer.Proto]++
	c.report.Statuses[answer.StatusCode]++
	c.report.Sizes[len(body)]++
	if len(body) <= pieceSize {
		c.report.Body = string(body)
	}
}

// Gets a page, or posts a body.
func (c *client) get(url string) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if c.body != nil {
		request, err = http.NewRequest(http.MethodPost, url, bytes.NewReader(c.body))
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.do(request)
}

func (c *client) parallel(url string, count int) {
	c.get(url)
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			c.get(url)
		}()
	}
	group.Wait()
}

func (c *client) upload(url string, size int) {
	reader, writer := io.Pipe()
	sum := sha256.New()
	go func() {
		piece := make([]byte, pieceSize)
		for at := 0; at < size; at += len(piece) {
			for i := range piece {
				piece[i] = byte(at/pieceSize + i)
			}
			if size-at < len(piece) {
				piece = piece[:size-at]
			}
			sum.Write(piece)
			if _, err := writer.Write(piece); err != nil {
				return
			}
			time.Sleep(pause)
		}
		writer.Close()
	}()
	request, err := http.NewRequest(http.MethodPost, url, reader)
	if err != nil {
		c.fail(err)
		return
	}
	request.Trailer = http.Header{"X-Ignored": {"by the application"}}
	c.do(request)
	c.report.SHA256 = fmt.Sprintf("%x", sum.Sum(nil))
}

func (c *client) leave(url string) {
	ctx, cancel := context.WithCancel(c.traced(context.Background()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err == nil {
		var answer *http.Response
		if answer, err = c.http.Do(request); err == nil {
			c.report.Protocols[answer.Proto]++
			c.report.Body, err = bufio.NewReader(answer.Body).ReadString('\n')
			cancel()
			_, ended := io.ReadAll(answer.Body)
			if !errors.Is(ended, context.Canceled) {
				err = fmt.Errorf("after the cancellation: %v", ended)
			}
		}
	}
	cancel()
	if err != nil {
		c.fail(err)
	}
}

// Whether a connection could not be made.
func (c *client) refused() bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.report.Refused > 0
}

// Goes on until standard input ends, or nobody listens any more.
func (c *client) untilEOF(url string, workers int) {
	done := make(chan struct{})
	var group sync.WaitGroup
	for i := 0; i < workers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for !c.refused() {
				select {
				case <-done:
					return
				default:
					c.get(url)
				}
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	close(done)
	group.Wait()
}

func run() error {
	ca := flag.String("ca", "", "the certificate that is trusted")
	http1 := flag.Bool("http1", false, "speak HTTP/1.1 only")
	body := flag.Int("body", 0, "post so many bytes")
	flag.Parse()
	c, err := newClient(*ca, *http1)
	if err != nil {
		return err
	}
	if *body > 0 {
		c.body = make([]byte, *body)
	}
	number, _ := strconv.Atoi(flag.Arg(2))
	switch flag.Arg(0) {
	case "parallel":
		c.parallel(flag.Arg(1), number)
	case "upload":
		c.upload(flag.Arg(1), number)
	case "leave":
		c.leave(flag.Arg(1))
	case "until-eof":
		c.untilEOF(flag.Arg(1), number)
	default:
		return errors.New("what is to be done? " + flag.Arg(0))
	}
	return json.NewEncoder(os.Stdout).Encode(c.report)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

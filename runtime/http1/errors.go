package http1

import "errors"

// ErrNeedMore says that the bytes so far are the beginning of a message.
var ErrNeedMore = errors.New("http1: need more bytes")

// StatusError is why a message is refused. The connection must be closed
// after it was answered: where the next message begins is not known. Values
// are predeclared, so that refusing costs no allocation.
type StatusError struct {
	Status int    // status code of the answer
	Text   string // short reason in plain ASCII, fit for the client
}

// Error returns the text.
func (e *StatusError) Error() string { return e.Text }

func bad(text string) *StatusError { return &StatusError{400, text} }

var (
	errNoRequest       = bad("not an HTTP request")
	errBareLF          = bad("line ends without CR")
	errRequestLine     = bad("malformed request line")
	errVersionSyntax   = bad("malformed HTTP version")
	errTarget          = bad("invalid character in request target")
	errTargetForm      = bad("malformed request target")
	errPercent         = bad("invalid percent-encoding in path")
	errFieldName       = bad("malformed header name")
	errFolded          = bad("header line starts with whitespace")
	errFieldValue      = bad("invalid character in header value")
	errNoHost          = bad("missing Host header")
	errManyHosts       = bad("more than one Host header")
	errHost            = bad("invalid Host header")
	errAuthority       = bad("invalid host in request target")
	errLength          = bad("invalid Content-Length")
	errLengths         = bad("different Content-Lengths")
	errLengthAndCoding = bad("Content-Length with Transfer-Encoding")
	errCoding          = bad("malformed Transfer-Encoding")
	errCodingOn10      = bad("Transfer-Encoding in HTTP/1.0")
	errChunkSize       = bad("invalid chunk size")
	errChunkEnd        = bad("malformed chunk")
	errChunkOverhead   = bad("chunk extensions or trailers too large")
	errTrailer         = bad("malformed trailer")

	errLineTooLong   = &StatusError{414, "request line too long"}
	errExpectation   = &StatusError{417, "expectation not supported"}
	errFieldTooLong  = &StatusError{431, "header field too long"}
	errHeadTooLarge  = &StatusError{431, "headers too large"}
	errTooManyFields = &StatusError{431, "too many headers"}
	errMethodTooLong = &StatusError{501, "method not supported"}
	errConnect       = &StatusError{501, "CONNECT not supported"}
	errUnknownCoding = &StatusError{501, "transfer coding not supported"}
	errVersion       = &StatusError{505, "HTTP version not supported"}
)

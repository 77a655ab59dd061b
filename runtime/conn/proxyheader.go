package conn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"fapws/runtime/http1"
)

// ProxyHeader is a header of the PROXY protocol: the address of the client that connected to the proxy, and the address
// to which the client connected (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
type ProxyHeader struct {
	Kind     ProxyKind
	From, To netip.AddrPort // valid if Kind is ProxyAddresses
}

type ProxyKind uint8

const (
	ProxyAddresses ProxyKind = iota
	ProxyLocal               // a connection of the proxy itself, for a health check
	ProxyUnknown             // a client whose address the proxy does not know
	ProxyUnix                // a client of a unix socket of the proxy
)

const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n" // of version 2
	MaxProxyLine   = 107                      // maximum size in bytes of a version 1 header with its CRLF
	// Maximum length of a version 2 header with its TLVs, in bytes.
	maxProxyHeader = 4 << 10
)

var (
	errNoProxyHeader = errors.New("missing PROXY protocol header")
	errProxyLine     = errors.New("PROXY line is malformed")
	errProxyVersion  = errors.New("PROXY header has an unknown version or command")
	errProxyAddress  = errors.New("PROXY header is shorter than its addresses")
	errProxyTooLong  = fmt.Errorf("PROXY header is longer than %d bytes", maxProxyHeader)
)

// ParseProxyHeader parses a PROXY header of version 1 or 2 at the start of buf. n is the size of the header. The error
// is http1.ErrNeedMore if buf is the beginning of a header.
func ParseProxyHeader(buf []byte) (h ProxyHeader, n int, err error) {
	const line = "PROXY "
	switch {
	case bytes.HasPrefix(buf, []byte(line)):
		return parseProxyLine(buf)
	case bytes.HasPrefix(buf, []byte(proxySignature)):
		return parseProxyBinary(buf)
	case len(buf) < len(line) && strings.HasPrefix(line, string(buf)),
		len(buf) < len(proxySignature) && strings.HasPrefix(proxySignature, string(buf)):
		return h, 0, http1.ErrNeedMore
	}
	return h, 0, errNoProxyHeader
}

func parseProxyLine(buf []byte) (h ProxyHeader, n int, err error) {
	end := bytes.IndexByte(buf[:min(len(buf), MaxProxyLine)], '\n')
	if end < 0 {
		if len(buf) >= MaxProxyLine {
			return h, 0, errProxyLine
		}
		return h, 0, http1.ErrNeedMore
	}
	line, ok := strings.CutSuffix(string(buf[:end]), "\r")
	words := strings.Split(line, " ")
	if !ok || len(words) < 2 {
		return h, 0, errProxyLine
	}
	if words[1] == "UNKNOWN" { // the protocol requires that the rest of the line is ignored
		return ProxyHeader{Kind: ProxyUnknown}, end + 1, nil
	}
	if len(words) != 6 {
		return h, 0, errProxyLine
	}
	from, ok1 := proxyAddrPort(words[2], words[4])
	to, ok2 := proxyAddrPort(words[3], words[5])
	is4, is6 := words[1] == "TCP4", words[1] == "TCP6"
	if !ok1 || !ok2 || !is4 && !is6 || from.Addr().Is4() != is4 || to.Addr().Is4() != is4 {
		return h, 0, errProxyLine
	}
	return ProxyHeader{From: unmapped(from), To: unmapped(to)}, end + 1, nil
}

func proxyAddrPort(addr, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(addr)
	p, ok := http1.ParsePort(port)
	return netip.AddrPortFrom(a, p), err == nil && a.Zone() == "" && ok
}

// parseProxyBinary parses a PROXY header of version 2, whose signature is at the start of buf.
func parseProxyBinary(buf []byte) (h ProxyHeader, n int, err error) {
	const fixed = len(proxySignature) + 4
	if len(buf) < fixed {
		return h, 0, http1.ErrNeedMore
	}
	command, family := buf[12], buf[13]
	n = fixed + int(binary.BigEndian.Uint16(buf[14:]))
	switch {
	case command != 0x20 && command != 0x21:
		return h, 0, errProxyVersion
	case n > maxProxyHeader:
		return h, 0, errProxyTooLong
	case len(buf) < n:
		return h, 0, http1.ErrNeedMore
	}
	rest := buf[fixed:n]
	if command == 0x20 {
		return ProxyHeader{Kind: ProxyLocal}, n, nil
	}
	size := 0
	switch family {
	case 0x11:
		size = 4
	case 0x21:
		size = 16
	case 0x31:
		if len(rest) < 2*108 {
			return h, 0, errProxyAddress
		}
		return ProxyHeader{Kind: ProxyUnix}, n, nil
	// The family or the protocol is unknown, or the header describes datagrams. A stream socket cannot receive
	// datagrams.
	default:
		return ProxyHeader{Kind: ProxyUnknown}, n, nil
	}
	if len(rest) < 2*size+4 {
		return h, 0, errProxyAddress
	}
	from, _ := netip.AddrFromSlice(rest[:size])
	to, _ := netip.AddrFromSlice(rest[size : 2*size])
	ports := rest[2*size:]
	h.From = unmapped(netip.AddrPortFrom(from, binary.BigEndian.Uint16(ports)))
	h.To = unmapped(netip.AddrPortFrom(to, binary.BigEndian.Uint16(ports[2:])))
	return h, n, nil
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

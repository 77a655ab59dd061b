package conn

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

func binaryHeader(command, family byte, payload string) string {
	size := binary.BigEndian.AppendUint16(nil, uint16(len(payload)))
	return proxySignature + string([]byte{command, family}) + string(size) + payload
}

const (
	fourFour = "\xc0\x00\x02\x01\x0a\x00\x00\x02\x12\x67\x00\x50" // 192.0.2.1:4711 to 10.0.0.2:80
	someTLV  = "\x03\x00\x04abcd"
)

var sixSix = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + "\xfd" + strings.Repeat("\x00", 14) + "\x02" +
	"\x12\x67\x01\xbb"

func TestProxyHeadersOfBothVersionsAreParsed(t *testing.T) {
	addresses := func(from, to string) ProxyHeader {
		return ProxyHeader{From: netip.MustParseAddrPort(from), To: netip.MustParseAddrPort(to)}
	}
	four := addresses("192.0.2.1:4711", "10.0.0.2:80")
	for _, c := range []struct {
		name, in string
		want     ProxyHeader
		err      error
	}{
		{"TCP4", "PROXY TCP4 192.0.2.1 10.0.0.2 4711 80\r\n", four, nil},
		{"TCP6", "PROXY TCP6 2001:db8::1 fd00::2 4711 443\r\n", addresses("[2001:db8::1]:4711", "[fd00::2]:443"), nil},
		{"TCP6, mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.2 4711 80\r\n", four, nil},
		{"longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff " +
			"65535 65535\r\n", ProxyHeader{Kind: ProxyUnknown}, nil},
		{"unknown", "PROXY UNKNOWN\r\n", ProxyHeader{Kind: ProxyUnknown}, nil},
		{"too long", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", ProxyHeader{}, errProxyLine},
		{"no end", "PROXY TCP4 " + strings.Repeat("1", 200), ProxyHeader{}, errProxyLine},
		{"bare LF", "PROXY TCP4 192.0.2.1 10.0.0.2 4711 80\n", ProxyHeader{}, errProxyLine},
		{"small letters", "proxy TCP4 192.0.2.1 10.0.0.2 4711 80\r\n", ProxyHeader{}, errNoProxyHeader},
		{"two blanks", "PROXY  TCP4 192.0.2.1 10.0.0.2 4711 80\r\n", ProxyHeader{}, errProxyLine},
		{"nothing", "PROXY \r\n", ProxyHeader{}, errProxyLine},
		{"another protocol", "PROXY UDP4 192.0.2.1 10.0.0.2 4711 80\r\n", ProxyHeader{}, errProxyLine},
		{"families differ", "PROXY TCP4 192.0.2.1 fd00::2 4711 80\r\n", ProxyHeader{}, errProxyLine},
		{"another family", "PROXY TCP6 192.0.2.1 10.0.0.2 4711 80\r\n", ProxyHeader{}, errProxyLine},
		{"a zone", "PROXY TCP6 fe80::1%eth0 fd00::2 4711 80\r\n", ProxyHeader{}, errProxyLine},
		{"a port too many", "PROXY TCP4 192.0.2.1 10.0.0.2 4711 80 1\r\n", ProxyHeader{}, errProxyLine},
		{"large port", "PROXY TCP4 192.0.2.1 10.0.0.2 65536 80\r\n", ProxyHeader{}, errProxyLine},
		{"octal port", "PROXY TCP4 192.0.2.1 10.0.0.2 0471 80\r\n", ProxyHeader{}, errProxyLine},
		{"no port", "PROXY TCP4 192.0.2.1 10.0.0.2  80\r\n", ProxyHeader{}, errProxyLine},
		{"a request", "GET / HTTP/1.1\r\n\r\n", ProxyHeader{}, errNoProxyHeader},
		{"an empty line", "\r\nGET / HTTP/1.1\r\n\r\n", ProxyHeader{}, errNoProxyHeader},

		{"v2, IPv4", binaryHeader(0x21, 0x11, fourFour), four, nil},
		{"v2, IPv6", binaryHeader(0x21, 0x21, sixSix), addresses("[2001:db8::1]:4711", "[fd00::2]:443"), nil},
		{"v2, with TLVs", binaryHeader(0x21, 0x11, fourFour+someTLV), four, nil},
		{"v2, unix", binaryHeader(0x21, 0x31, strings.Repeat("x", 216)), ProxyHeader{Kind: ProxyUnix}, nil},
		{"v2, local", binaryHeader(0x20, 0x00, ""), ProxyHeader{Kind: ProxyLocal}, nil},
		{"v2, local with addresses", binaryHeader(0x20, 0x11, fourFour), ProxyHeader{Kind: ProxyLocal}, nil},
		{"v2, unspecified", binaryHeader(0x21, 0x00, someTLV), ProxyHeader{Kind: ProxyUnknown}, nil},
		{"v2, datagrams", binaryHeader(0x21, 0x12, fourFour), ProxyHeader{Kind: ProxyUnknown}, nil},
		{"v2, longest", binaryHeader(0x21, 0x11, fourFour+strings.Repeat("x", 4096-16-12)), four, nil},
		{"v2, too long", binaryHeader(0x21, 0x11, fourFour+strings.Repeat("x", 4096-16-11)), ProxyHeader{}, errProxyTooLong},
		{"v2, too long, not here yet", proxySignature + "\x21\x11\xff\xff", ProxyHeader{}, errProxyTooLong},
		{"v2, short", binaryHeader(0x21, 0x11, fourFour[:11]), ProxyHeader{}, errProxyAddress},
		{"v2, short IPv6", binaryHeader(0x21, 0x21, sixSix[:35]), ProxyHeader{}, errProxyAddress},
		{"v2, short unix", binaryHeader(0x21, 0x31, strings.Repeat("x", 215)), ProxyHeader{}, errProxyAddress},
		{"v2, version 3", binaryHeader(0x31, 0x11, fourFour), ProxyHeader{}, errProxyVersion},
		{"v2, a command", binaryHeader(0x22, 0x11, fourFour), ProxyHeader{}, errProxyVersion},
		{"v2, wrong signature", "\r\n\r\n\x00\r\nQUIT\r" + "\x21\x11\x00\x00", ProxyHeader{}, errNoProxyHeader},
	} {
		const request = "GET / HTTP/1.1\r\n\r\n"
		h, n, err := ParseProxyHeader([]byte(c.in + request))
		checktest.Truef(t, err == c.err && (err != nil || h == c.want && n == len(c.in)),
			"%s: %+v, %d, %v; want %+v, %d, %v", c.name, h, n, err, c.want, len(c.in), c.err)
		splitProxy(t, []byte(c.in+request))
	}
}

// splitProxy parses longer and longer prefixes of data. The first prefix that needs no more input must give the same
// result as the whole data.
func splitProxy(t *testing.T, data []byte) {
	t.Helper()
	h, n, err := ParseProxyHeader(data)
	for i := range data {
		h1, n1, err1 := ParseProxyHeader(data[:i])
		if err1 == http1.ErrNeedMore {
			continue
		}
		checktest.Needf(t, h1 == h && n1 == n && err1 == err,
			"%q after %d bytes: %+v, %d, %v; the whole: %+v, %d, %v", data, i, h1, n1, err1, h, n, err)
		return
	}
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 10.0.0.2 4711 80\r\nGET"))
	f.Add([]byte("PROXY TCP6 2001:db8::1 fd00::2 4711 443\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(binaryHeader(0x21, 0x11, fourFour+someTLV)))
	f.Add([]byte(binaryHeader(0x21, 0x21, sixSix)))
	f.Add([]byte(binaryHeader(0x20, 0, "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, n, err := ParseProxyHeader(data)
		checktest.Truef(t, n >= 0 && (n <= len(data) || err != nil) && (n <= maxProxyHeader || err != nil),
			"length %d of %d", n, len(data))
		checktest.Truef(t, err != nil || h.Kind != ProxyAddresses || h.From.IsValid() && h.To.IsValid(),
			"no addresses: %+v", h)
		splitProxy(t, data)
	})
}

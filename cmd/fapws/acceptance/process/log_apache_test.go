package process_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
)

var recorded = []string{
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nReferer: http://example.org/x?y=1\r\nUser-Agent: Mozilla/5.0 (X11; " +
		"Linux x86_64)\r\n\r\n",
	"HEAD /a.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: head\r\n\r\n",
	"GET /a.txt?query=1&b=%22x%22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /a%20b.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /%61.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /a.txt HTTP/1.0\r\n\r\n",
	"GET /a.txt HTTP/1.0\r\nUser-Agent: old\r\n\r\n",
	"GET /none.txt HTTP/1.1\r\nHost: localhost\r\nReferer: http://example.org/\r\n\r\n",
	"HEAD /none.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nIf-Modified-Since: @DATE@\r\n\r\n",
	"GET /big.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /big.txt HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-99\r\n\r\n",
	"GET /big.txt HTTP/1.1\r\nHost: localhost\r\nRange: bytes=100-\r\n\r\n",
	"GET /big.txt HTTP/1.1\r\nHost: localhost\r\nRange: bytes=-7\r\n\r\n",
	"GET /big.txt HTTP/1.1\r\nHost: localhost\r\nRange: bytes=9999999-\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: \r\nReferer:\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: say \"hi\" \\ back\\slash\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: tab\there \xc3\xa9 \xff\r\nReferer: caf\xe9\r\n\r\n",
	"GET /a.txt?\"quoted\" HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nReferer: http://example.org/" + strings.Repeat("long/", 400) + "\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nReferer: one\r\nUser-Agent: u\r\nReferer: two\r\n\r\n",
	"GET /sub HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /sub/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET http://localhost/a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /empty.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nuser-agent: lower\r\nREFERER: upper\r\n\r\n",
	"GET /locked/x.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /locked/x.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\r\n", // ann:secret
	"GET /locked/x.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YW5uOndyb25n\r\n\r\n",     // ann:wrong
	"GET /locked/x.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Ym9iOng=\r\n\r\n",         // bob:x
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\nGET /empty.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: " +
		"second\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nUser-Agent: no host\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: before\r\nBad Field: x\r\nReferer: behind\r\n\r\n",
	"GET  /two.spaces HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"nonsense\r\n\r\n",
	"GET /x\x01y HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET http://LocalHost.:81/a.txt HTTP/1.1\r\nHost: localhost:81\r\nCookie: first=1; SECOND=2; second=3\r\n\r\n",
	"GET /a.txt HTTP/1.1\r\nHost: [::1]:80\r\nCookie: second=; third\r\n\r\n",
	"PUT /a.txt HTTP/1.1\r\nHost: LOCALHOST.\r\nContent-Length: 4\r\n\r\nbody",
}

// quirks lists requests for which fapws and Apache log different lines on purpose. why says what Apache does ("it").
// formats is "all" if the lines differ in all formats, or "atoms" if they differ only in the format "atoms".
var quirks = map[string]struct{ formats, why string }{
	"HEAD /none.txt HTTP/1.1\r\nHost: localhost\r\n\r\n": {"atoms",
		"its answer to HEAD has no Content-Length when the page is a text of the configuration"},
	"GET /big.txt HTTP/1.1\r\nHost: localhost\r\nRange: bytes=9999999-\r\n\r\n": {"atoms",
		"it makes 416 a second request, which %k counts"},
	"GET /sub HTTP/1.1\r\nHost: localhost\r\n\r\n":  {"all", "its page for 301 is another, and can not be replaced"},
	"GET /sub/ HTTP/1.1\r\nHost: localhost\r\n\r\n": {"atoms", "its %U has the index document that no client asked for"},
	"GET  /two.spaces HTTP/1.1\r\nHost: localhost\r\n\r\n": {"all",
		"it takes one of two spaces out of the line that it refuses for them"},
	"GET /empty.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: second\r\n\r\n": {"atoms",
		"it counts a byte more for a request that waited, in %I"},
	"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: before\r\nBad Field: x\r\nReferer: behind\r\n\r\n": {"atoms",
		"it reads no further than the mistake, which %I shows"},
	"GET /x\x01y HTTP/1.1\r\nHost: localhost\r\n\r\n": {"atoms", "it reads no further than the mistake, which %I shows"},
	"nonsense\r\n\r\n": {"atoms", "it takes that for the method GET of HTTP/0.9 without a path"},
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n": {"atoms",
		"it takes that for the method GET of HTTP/0.9 without a path"},
}

func logSite(t *testing.T, folder string) (date string) {
	t.Helper()
	fapwstest.Write(t, folder+"/site/a.txt", "hello\n")
	fapwstest.Write(t, folder+"/site/a b.txt", "space\n")
	fapwstest.Write(t, folder+"/site/big.txt", strings.Repeat("0123456789", 500))
	fapwstest.Write(t, folder+"/site/empty.txt", "")
	fapwstest.Write(t, folder+"/site/sub/index.html", "<p>index\n")
	fapwstest.Write(t, folder+"/site/locked/x.txt", "secret\n")
	fapwstest.Write(t, folder+"/site/error.txt", "sorry\n")
	const apr1 = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" // hash of the password "secret"
	fapwstest.Write(t, folder+"/users", "ann:"+apr1+"\n")
	fapwstest.Must(t, os.Chmod(folder, 0o755), os.Chmod(folder+"/site", 0o755))
	at := time.Date(2026, 7, 4, 10, 0, 0, 0, time.UTC)
	fapwstest.Must(t, os.Chtimes(folder+"/site/a.txt", at, at))
	return at.Format("Mon, 02 Jan 2006 15:04:05 GMT")
}

// errorStatuses lists the errors whose default pages differ between fapws and Apache. For these errors, both servers
// send the same short text instead.
var errorStatuses = []int{400, 401, 403, 404, 405, 414, 416, 431, 501, 505}

func apache(t *testing.T, folder string, formats map[string]string) (address string, stop func()) {
	t.Helper()
	address = backendtest.Unused(t)
	var b strings.Builder
	fmt.Fprintf(&b, `
DocumentRoot %[1]s/site
DirectoryIndex index.html
<Directory %[1]s/site>
	Require all granted
</Directory>
<Location /locked>
	AuthType Basic
	AuthName locked
	AuthUserFile %[1]s/users
	Require valid-user
</Location>
`, folder)
	for _, status := range errorStatuses {
		// The text of the page is in the configuration. For a page in a file, Apache would make a second, internal
		// request and log values of that request.
		fmt.Fprintf(&b, "ErrorDocument %d \"sorry.\"\n", status)
	}
	for name, format := range formats {
		fmt.Fprintf(&b, "CustomLog %s/apache.%s \"%s\"\n", folder, name,
			strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(format))
	}
	modules := []string{"mpm_event", "authz_core", "authn_core", "authn_file", "auth_basic", "authz_user", "mime", "dir"}
	return address, backendtest.Apache(t, folder, address, modules, b.String())
}

func record(t *testing.T, address, date string) {
	t.Helper()
	for _, text := range recorded {
		c := fapwstest.Try(net.Dial("tcp", address)).Must(t)
		c.SetDeadline(time.Now().Add(fapwstest.Patience))
		fapwstest.Try(io.WriteString(c, strings.ReplaceAll(text, "@DATE@", date))).Must(t)
		c.(*net.TCPConn).CloseWrite()
		_, err := io.Copy(io.Discard, c)
		fapwstest.Truef(t, err == nil, "%q: %v", text, err)
		c.Close()
	}
}

var logTime = regexp.MustCompile(`\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]`)

// Only the times in the lines may differ.
func TestAccessLogLinesEqualApachesLines(t *testing.T) {
	t.Parallel()
	folder := fapwstest.PublicFolder(t)
	date := logSite(t, folder)
	formats := map[string]string{
		"combined": `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`,
		"atoms": `%a %{c}a %A %B %b %h %l %u %m "%q" "%U" %H %s %>s %{Host}i %{Content-Length}o %{ETAG}i %v %V %I ` +
			`%{Second}C %k %X %% %!200,304{Referer}i %404,400{User-agent}i %{No-Such}i %{No-Such}o %t`,
	}
	address, stop := apache(t, folder, formats)
	host, _, _ := net.SplitHostPort(address)
	record(t, address, date)
	stop()
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			theirs := logLines(t, folder+"/apache."+name)
			requests := eachRequest()
			// Ignore the first request, which checked whether Apache listens.
			theirs = theirs[len(theirs)-len(requests):]
			if name != "atoms" {
				format = name
			}
			var pages []string
			for _, status := range errorStatuses {
				pages = append(pages, fmt.Sprintf("%d = \"/error.txt\"", status))
			}
			config := fapwstest.Write(t, folder+"/"+name+".toml", fmt.Sprintf(`
bind = "%s:0"
access-log = "fapws.%s"
access-log-format = '%s'
allow-root = true
compress = false
threads = 0
[[host]]
name = "localhost"
default = true
root = "site"
error-page = { %s }
route = [{ prefix = "/locked/", files = "site/locked", auth = { realm = "locked", users = "users" } }]
`, host, name, format, strings.Join(pages, ", ")))
			s := fapwstest.Command{Flags: []string{"-c", config}, Dir: folder}.Started(t)
			record(t, s.Address, date)
			s.Stop()
			ours := logLines(t, filepath.Join(folder, "fapws."+name))
			fapwstest.Equal(t, len(ours), len(theirs))
			for i := range min(len(ours), len(theirs)) {
				a, b := logTime.ReplaceAllString(theirs[i], "[time]"), logTime.ReplaceAllString(ours[i], "[time]")
				fapwstest.Truef(t, logTime.MatchString(ours[i]), "no time: %s", ours[i])
				quirk := quirks[requests[i]]
				differs := quirk.formats == "all" || quirk.formats == "atoms" && name == "atoms"
				if a != b && !differs {
					t.Errorf("Apache: %s\nfapws:  %s", a, b)
				} else if a == b && differs {
					t.Errorf("it is no more that %s: %s", quirk.why, b)
				}
			}
		})
	}
}

func eachRequest() (list []string) {
	for _, text := range recorded {
		for part := range strings.SplitAfterSeq(text, "\r\n\r\n") {
			if part != "" && part != "body" {
				list = append(list, part)
			}
		}
	}
	return list
}

package http2_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestBrowserUsesHTTP2ForPagesUploadsEventsAndWebSockets(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, fapwstest.Mode{}, "page.py")
	// IgnoreCertErrors: the certificate is from a test authority.
	ctx := fapwstest.Browser(t, chromedp.IgnoreCertErrors)
	var heard, said string
	fapwstest.Must(t, chromedp.Run(ctx,
		chromedp.Navigate(s.URL+"/"),
		fapwstest.Shows(`document.getElementById("heard").textContent != "nothing"`),
		chromedp.Text("#heard", &heard, chromedp.ByQuery),
		fapwstest.Shows(`document.getElementById("said").textContent != "nothing"`),
		chromedp.Text("#said", &said, chromedp.ByQuery),
	))
	fapwstest.Equal(t, heard, "heard 300000 h2")
	fapwstest.Equal(t, strings.TrimSpace(said),
		"300000 bytes by HTTP/2.0 GET; /talk 3000 ; own socket by HTTP/2.0; /own 3000")
}

func TestBrowserLoadsWhatEarlyHintsNameBeforeThePage(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, fapwstest.Mode{}, "hintedpage.py")
	c, err := tls.Dial("tcp", s.Address, &tls.Config{InsecureSkipVerify: true})
	fapwstest.Must(t, err)
	key := sha256.Sum256(c.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	c.Close()
	// With IgnoreCertErrors, Chromium would discard files that it loads because of early hints.
	ctx := fapwstest.Browser(t, chromedp.Flag("ignore-certificate-errors-spki-list",
		base64.StdEncoding.EncodeToString(key[:])))
	var how string
	fapwstest.Must(t, chromedp.Run(ctx,
		chromedp.Navigate(s.URL+"/"),
		fapwstest.Shows(`document.getElementById("how").textContent != "early"`),
		chromedp.Text("#how", &how, chromedp.ByQuery),
	))
	fapwstest.Equal(t, how, "early-hints")
}

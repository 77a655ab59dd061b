package certificates

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
)

const (
	// orderWithin limits the duration of an order.
	orderWithin = 15 * time.Minute

	// abandonWithin limits the duration of abandon.
	abandonWithin = 10 * time.Second

	// Names of files in the directory: the key of the account, and the suffixes of tokens.
	accountKey = "acme_account+key"
	httpToken  = "+http-01"
	tlsToken   = "+token"

	// maxResponse limits a response of an authority, in bytes.
	maxResponse = 1 << 20

	// maxReason limits a reason in the log, in bytes, because the authority may quote a page of the host.
	maxReason = 1000
)

// order calls obtain. After an error, the result wait is the minimum time before the next attempt, as requested by the
// authority.
func (o *Orders) order(a *ACME, names []string) (wait time.Duration, err error) {
	client := &acme.Client{DirectoryURL: a.Directory, UserAgent: "fapws", RetryBackoff: retryAfter,
		HTTPClient: &http.Client{Transport: bounded{http.DefaultTransport}}}
	ctx, cancel := context.WithTimeout(o.ctx, orderWithin)
	defer cancel()
	if err = o.obtain(ctx, client, a, names); err != nil && ctx.Err() != nil {
		return 0, fmt.Errorf("the CA %s did not answer within %v", a.Directory, orderWithin)
	}
	return a.explain(err)
}

// obtain orders one certificate for names and stores it, with a new key, in the directory.
func (o *Orders) obtain(ctx context.Context, client *acme.Client, a *ACME, names []string) (err error) {
	if client.Key, err = keyOfAccount(a.Dir); err != nil {
		return err
	}
	account := &acme.Account{}
	if a.Email != "" {
		account.Contact = []string{"mailto:" + a.Email}
	}
	_, err = client.Register(ctx, account, acme.AcceptTOS)
	if err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return err
	}
	order, err := o.authorized(ctx, client, a, names)
	if err != nil {
		return err
	}
	key, text := newKey()
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		return err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, request, true)
	if err != nil {
		return err
	}
	for _, one := range chain {
		text = append(text, block("CERTIFICATE", one)...)
	}
	pair := Pair{Cert: "the new certificate", Names: names}
	if _, err = pair.usable(PairPEM{text, text}, time.Now()); err != nil {
		return err
	}
	return put(a.Dir, names[0], text)
}

// authorized returns an order that the authority has authorized. After a failed proof, the next kind of proof needs
// another order. Names with "*" need dns-01.
func (o *Orders) authorized(ctx context.Context, client *acme.Client, a *ACME, names []string) (*acme.Order, error) {
	kinds := []string{"tls-alpn-01", "http-01"}
	if a.DNSHook != "" {
		kinds = []string{"dns-01"}
	}
	var failures error
	for _, kind := range kinds {
		order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(names...))
		if err != nil {
			return nil, errors.Join(failures, err)
		}
		authorizations := order.AuthzURLs
		if err = o.prove(ctx, client, a, kind, authorizations); err == nil {
			order, err = client.WaitOrder(ctx, order.URI)
		}
		if err == nil {
			return order, nil
		}
		abandon(ctx, client, authorizations)
		failures = errors.Join(failures, err)
	}
	return nil, failures
}

// abandon deactivates the authorizations of a failed order that are still pending (RFC 8555 §7.5.2), because they would
// count in a limit of the authority until they expire.
func abandon(ctx context.Context, client *acme.Client, authorizations []string) {
	ctx, cancel := context.WithTimeout(ctx, abandonWithin)
	defer cancel()
	for _, url := range authorizations {
		if z, err := client.GetAuthorization(ctx, url); err == nil && z.Status == acme.StatusPending {
			_ = client.RevokeAuthorization(ctx, url)
		}
	}
}

// prove proves to the authority that the names of an order belong to this server. All proofs exist at the same time,
// because example.org and *.example.org have the same record in the DNS with two values.
func (o *Orders) prove(ctx context.Context, client *acme.Client, a *ACME, kind string, authorizations []string) error {
	o.proving.Lock()
	defer o.proving.Unlock()
	var pending []*acme.Authorization
	var domains []string
	for _, url := range authorizations {
		z, err := client.GetAuthorization(ctx, url)
		if err != nil {
			return err
		}
		if z.Status == acme.StatusPending { // otherwise it was proved for an earlier order
			pending = append(pending, z)
			domains = append(domains, strings.TrimPrefix(z.Identifier.Value, "*."))
		}
	}
	var challenges []*acme.Challenge
	for i, z := range pending {
		at := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == kind })
		if at < 0 {
			return fmt.Errorf("the CA does not offer %s for %s", kind, domains[i])
		}
		challenges = append(challenges, z.Challenges[at])
		remove, err := o.publish(ctx, client, a, z.Challenges[at], domains, i)
		if remove != nil {
			defer remove()
		}
		if err != nil {
			return err
		}
	}
	for _, c := range challenges {
		if _, err := client.Accept(ctx, c); err != nil {
			return err
		}
	}
	for _, z := range pending {
		if _, err := client.WaitAuthorization(ctx, z.URI); err != nil {
			return err
		}
	}
	return nil
}

// publish makes the response to the challenge of domains[index] available to the authority: in the DNS (RFC 8555 §8.4),
// or in the directory from which workers respond. remove, which may be nil, removes the response.
func (o *Orders) publish(ctx context.Context, client *acme.Client, a *ACME, c *acme.Challenge, domains []string,
	index int) (remove func(), err error) {
	var file, text string
	switch c.Type {
	case "dns-01":
		if text, err = client.DNS01ChallengeRecord(c.Token); err == nil {
			return o.addRecord(ctx, a, []string{"CERTBOT_DOMAIN=" + domains[index], "CERTBOT_VALIDATION=" + text,
				"CERTBOT_ALL_DOMAINS=" + strings.Join(domains, ","),
				fmt.Sprintf("CERTBOT_REMAINING_CHALLENGES=%d", len(domains)-index-1)})
		}
	case "http-01":
		file = c.Token + httpToken
		text, err = client.HTTP01ChallengeResponse(c.Token)
	case "tls-alpn-01":
		key, pem := newKey()
		var cert tls.Certificate
		if cert, err = client.TLSALPN01ChallengeCert(c.Token, domains[index], acme.WithKey(key)); err == nil {
			file, text = domains[index]+tlsToken, string(pem)+string(block("CERTIFICATE", cert.Certificate[0]))
		}
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(filepath.Join(a.Dir, file)) }, put(a.Dir, file, []byte(text))
}

// keyOfAccount returns the key of the account, and creates a missing key.
func keyOfAccount(dir string) (crypto.Signer, error) {
	text, err := os.ReadFile(filepath.Join(dir, accountKey))
	if err == nil {
		return parseKey(text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, text := newKey()
	return key, put(dir, accountKey, text)
}

// retryAfter returns the pause before attempt n+1 of a request within an order. If the authority reports that a rate
// limit was exceeded, retryAfter returns 0, which ends the order.
func retryAfter(n int, _ *http.Request, resp *http.Response) time.Duration {
	if resp.StatusCode == http.StatusTooManyRequests {
		return 0
	}
	return min(time.Duration(n)*time.Second, 10*time.Second)
}

// bounded limits the responses of an authority.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxResponse)
	}
	return resp, err
}

// problems returns the reasons of the authority in err (RFC 8555 §6.7).
func problems(err error) (errs []*acme.Error) {
	switch err := err.(type) {
	case interface{ Unwrap() []error }:
		for _, one := range err.Unwrap() {
			errs = append(errs, problems(one)...)
		}
	case *acme.AuthorizationError:
		return problems(errors.Join(err.Errors...))
	case *acme.OrderError:
		if err.Problem != nil {
			return problems(err.Problem)
		}
	case *acme.Error:
		if err.ProblemType != "" {
			errs = append(errs, err)
		}
	}
	return errs
}

// explain converts the error of an order for the log: it adds the reason of the authority and advice. explain also
// returns the pause that the authority requests.
func (a *ACME) explain(err error) (wait time.Duration, _ error) {
	var texts []string
	hint := ""
	for _, p := range problems(err) {
		text := p.Detail
		for _, sub := range p.Subproblems {
			text += "; " + sub.Detail
		}
		text = cmp.Or(strings.Trim(oneLine(text), ";. "), p.ProblemType)
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
		switch strings.TrimPrefix(strings.ToLower(p.ProblemType), "urn:ietf:params:acme:error:") {
		case "connection", "dns", "tls", "unauthorized":
			hint = "; the name must resolve to this machine, and the CA must reach its port 80 or 443"
			if a.DNSHook != "" {
				hint = "; acme-dns-hook must end only when all name servers of the domain have the record"
			}
		}
		limit, _ := acme.RateLimit(p)
		wait = max(wait, limit)
	}
	var unreachable *url.Error
	reason := strings.Join(texts, "; ")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	switch {
	case reason != "":
		err = fmt.Errorf("the CA refused: %s%s", reason, hint)
	case errors.As(err, &unreachable):
		err = fmt.Errorf("cannot reach the CA %s: %s", a.Directory, oneLine(unreachable.Err.Error()))
	case err != nil:
		err = fmt.Errorf("no certificate from %s: %s", a.Directory, oneLine(strings.ReplaceAll(err.Error(), "\n", "; ")))
	}
	return wait, err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

package certificates

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"fapws/runtime/logfile"
	"fapws/runtime/source/programs"
	"fapws/runtime/system"
)

const (
	// hookWithin limits the duration of a hook, which may wait until its record has reached all name servers.
	hookWithin = 5 * time.Minute

	// cleanupWithin limits the duration of the hooks for cleanup together, when the server stops or is upgraded.
	cleanupWithin = 5 * time.Second

	maxHookOutput = 64 << 10 // in bytes

	// accountKey is the file with the key of the account, as autocert names it.
	accountKey = "acme_account+key"
)

// hookVariables lists variables of the server's environment that hooks get in addition to programs.Environment.
var hookVariables = []string{"HOME", "USER", "LOGNAME", "CREDENTIALS_DIRECTORY"}

// orderByDNS orders one certificate for names and stores it in the directory, as autocert does. The authority looks for
// records that a hook has added to the DNS (RFC 8555 §8.4). Names with "*" need this method.
func (o *Orders) orderByDNS(ctx context.Context, client *acme.Client, a *ACME, names []string) (err error) {
	if client.Key, err = keyOfAccount(ctx, autocert.DirCache(a.Dir)); err != nil {
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
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(names...))
	if err != nil {
		return err
	}
	if err = o.prove(ctx, client, a, order.AuthzURLs); err != nil {
		return err
	}
	if order, err = client.WaitOrder(ctx, order.URI); err != nil {
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
	if _, err = pair.usable(Contents{text, text}, time.Now()); err != nil {
		return err
	}
	return autocert.DirCache(a.Dir).Put(ctx, names[0], text)
}

type dnsChallenge struct {
	*acme.Challenge
	authorization string   // URL
	env           []string // environment variables for the hooks, the same as in certbot
}

// prove proves to the authority that the names of an order belong to this server. All records exist at the same time,
// because example.org and *.example.org have the same record with two values.
func (o *Orders) prove(ctx context.Context, client *acme.Client, a *ACME, authorizations []string) error {
	o.proving.Lock()
	defer o.proving.Unlock()
	var all []*dnsChallenge
	var domains []string
	for _, url := range authorizations {
		z, err := client.GetAuthorization(ctx, url)
		if err != nil {
			return err
		}
		domain := strings.TrimPrefix(z.Identifier.Value, "*.")
		at := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == "dns-01" })
		switch {
		case z.Status != acme.StatusPending: // proved for an earlier order
			continue
		case at < 0:
			return fmt.Errorf("the CA does not look for %s in the DNS", domain)
		}
		value, err := client.DNS01ChallengeRecord(z.Challenges[at].Token)
		if err != nil {
			return err
		}
		domains = append(domains, domain)
		all = append(all, &dnsChallenge{z.Challenges[at], url,
			[]string{"CERTBOT_DOMAIN=" + domain, "CERTBOT_VALIDATION=" + value}})
	}
	for i, c := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.env = append(c.env, "CERTBOT_ALL_DOMAINS="+strings.Join(domains, ","),
			fmt.Sprintf("CERTBOT_REMAINING_CHALLENGES=%d", len(all)-i-1))
		output, err := o.hook(ctx, "acme-dns-hook", a.DNSHook, c.env)
		defer func() { // even after an error, because the hook may have added its record before the error
			_, err := o.hook(o.last, "acme-dns-cleanup-hook", a.DNSCleanup, append(c.env, "CERTBOT_AUTH_OUTPUT="+output))
			if err != nil {
				o.log(logfile.Warning, err.Error())
			}
		}()
		if err != nil {
			return err
		}
	}
	for _, c := range all {
		if _, err := client.Accept(ctx, c.Challenge); err != nil {
			return err
		}
	}
	for _, c := range all {
		if _, err := client.WaitAuthorization(ctx, c.authorization); err != nil {
			return err
		}
	}
	return nil
}

// hook runs the program of a setting and returns its output. The program and its child processes are killed if the
// program takes too long, if it writes too much, or if ctx ends.
func (o *Orders) hook(ctx context.Context, setting, file string, env []string) (output string, err error) {
	if file == "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, hookWithin)
	defer cancel()
	all := append(programs.Environment(), env...)
	for _, name := range hookVariables {
		if value, set := os.LookupEnv(name); set {
			all = append(all, name+"="+value)
		}
	}
	// The supervisor reaps all of its children, so programs.Output may not get the exit status of the hook. Therefore
	// the shell writes the exit status to the output.
	out, err := programs.Output(ctx, []string{"/bin/sh", "-c", `"$0"; printf '\n%d' $?`, file}, all, filepath.Dir(file),
		maxHookOutput, func(line string) { o.log(logfile.Info, fmt.Sprintf("%s: %s", filepath.Base(file), line)) })
	text := strings.ReplaceAll(string(out), "\x00", "")
	end := strings.LastIndexByte(text, '\n')
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("did not end within %v", hookWithin)
	case errors.Is(err, context.Canceled):
		err = errors.New("killed, because the server stops or is upgraded")
	case err == nil && end < 0:
		err = errors.New("was killed")
	case err == nil && text[end+1:] != "0":
		err = errors.New("exit status " + text[end+1:])
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", setting, file, err)
	}
	return strings.TrimSpace(text[:max(end, 0)]), err
}

// CheckHook returns an error of one line if the file cannot be a hook, or if users other than its owner and group could
// replace its contents.
func CheckHook(file string) error {
	st, err := os.Stat(file)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", file, system.Cause(err))
	case !st.Mode().IsRegular() || st.Mode()&0o111 == 0:
		return fmt.Errorf("%s: not an executable file; type chmod +x %s", file, file)
	case st.Mode()&0o002 != 0:
		return fmt.Errorf("%s: every user of this machine can change it (mode %04o); type chmod o-w %s", file,
			st.Mode().Perm(), file)
	}
	return nil
}

// keyOfAccount returns the key of the account, which autocert also uses, and creates the key if there is none.
func keyOfAccount(ctx context.Context, dir autocert.DirCache) (crypto.Signer, error) {
	text, err := dir.Get(ctx, accountKey)
	if err == nil {
		return parseKey(text)
	}
	if !errors.Is(err, autocert.ErrCacheMiss) {
		return nil, err
	}
	key, text := newKey()
	return key, dir.Put(ctx, accountKey, text)
}

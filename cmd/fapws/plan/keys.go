package plan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"fapws/cmd/fapws/settings"
)

// KeyDocs describe the keys of a configuration file that are not settings, for
// the man page and docs/settings.md.
var KeyDocs = []settings.KeyDoc{
	{Table: "", Key: "app", Value: `"app.py"`, Help: "the application, as APP on the command line"},
	{Table: "", Key: "root", Value: `"./site"`, Help: "a directory of files; with app, existing files are served first"},
	{Table: "", Key: "args", Value: `["one", "two"]`, Help: "sys.argv[1:] of the application"},
	{Table: "", Key: "types", Value: `{ gpx = "application/gpx+xml" }`, Help: "media types by extension; also in a host or route"},
	{Table: "", Key: "unknown-host", Value: `"421"`, Help: "status for unknown host names; by default, the first host serves them"},
	{Table: "", Key: "host", Value: "[[host]]", Help: "a site with names, files, application and routes"},

	{Table: "host", Key: "name", Value: `["example.org", "*.example.org"]`, Help: "host names; * stands for the beginning or the end of a name; omitted: all names that no other host has"},
	{Table: "host", Key: "default", Value: "true", Help: "true: also serve all other names; by default, the first host does"},
	{Table: "host", Key: "root", Value: `"/srv/site"`, Help: "a directory of files, for paths that match no route"},
	{Table: "host", Key: "app", Value: `"pkg.mod:app"`, Help: "an application, for paths that match no route and no file"},
	{Table: "host", Key: "ssi", Value: `true, ["*.html"] or { exec = true }`, Help: "server-side includes in the pages under root"},
	{Table: "host", Key: "certfile", Value: `"/etc/ssl/example.org.pem"`, Help: "the certificate of these names for HTTPS, as with --certfile"},
	{Table: "host", Key: "keyfile", Value: `"/etc/ssl/example.org.key"`, Help: "its private key; not needed if certfile has the key"},
	{Table: "host", Key: "ca-certs", Value: `"clients.pem"`, Help: "authorities of the certificates of its clients, as with --ca-certs; used by client-cert and cert-reqs"},
	{Table: "host", Key: "https-redirect", Value: "true", Help: "redirect plain HTTP to HTTPS; overrides --https-redirect for this host"},
	{Table: "host", Key: "access-log", Value: `"FILE"`, Help: "access log of this host"},
	{Table: "host", Key: "access-log-format", Value: `"common"`, Help: "the format of that log"},
	{Table: "host", Key: "error-log", Value: `"FILE"`, Help: "error log of this host"},
	{Table: "host", Key: "error-page", Value: `{ 404 = "/404.html" }`, Help: "pages by status: the path of a file of the host, or a URL to redirect to"},
	{Table: "host", Key: "route", Value: "[[host.route]]", Help: "rules or a source for some paths; the first matching route applies, before root and app"},

	{Table: "host.route", Key: "prefix", Value: `"/static/"`, Help: "path prefix"},
	{Table: "host.route", Key: "match", Value: `"*.php"`, Help: "pattern for the file name; with prefix, only for paths under it"},
	{Table: "host.route", Key: "app", Value: `"blog.py"`, Help: "an application, mounted at the prefix; the application of the host keeps its own paths, so this can add rules to a part of it"},
	{Table: "host.route", Key: "files", Value: `"DIR"`, Help: "a directory of files"},
	{Table: "host.route", Key: "cgi", Value: `"DIR", true or { folder = "DIR" }`, Help: "programs (CGI/1.1) in a directory, or in root; the table also takes interpreters and env"},
	{Table: "host.route", Key: "php", Value: `true, "php-cgi" or { children = 4 }`, Help: "PHP; the table takes children, front, ini, env, mode, max-requests, idle, command and args"},
	{Table: "host.route", Key: "fastcgi", Value: `"unix:/run/php.sock"`, Help: "a FastCGI server; a table has address, params, front, connections and idle"},
	{Table: "host.route", Key: "ssi", Value: `true, ["*.html"] or { exec = true }`, Help: "server-side includes in pages of files"},
	{Table: "host.route", Key: "redirect", Value: `"https://example.org${path}"`, Help: "redirects, with status (302 by default); ${path}, ${query}, ${host}, ${scheme} and $1 (the rest of the path after the prefix) are replaced; the query is kept unless the value has a ?"},
	{Table: "host.route", Key: "rewrite", Value: `"/new/$1"`, Help: "continues with another path at the following routes"},
	{Table: "host.route", Key: "proxy", Value: `"http://127.0.0.1:9000"`, Help: "forwards to another server: http://, https:// or unix:/path/of/socket; a path in the URL replaces the prefix, without one the path stays"},
	{Table: "host.route", Key: "upload", Value: `"DIR" or { to = "/data/firmware.bin" }`, Help: "stores files that clients send, in a directory or at a path; the table also takes max-size (1G by default), max-active, sync, replace, mode, channel, resumable, expires and origins"},
	{Table: "host.route", Key: "status", Value: "404", Help: "responds with this status"},
	{Table: "host.route", Key: "text", Value: `"Gone."`, Help: "the body of this response"},
	{Table: "host.route", Key: "root", Value: `"DIR"`, Help: "document root of cgi, php and fastcgi; by default that of the host"},

	{Table: "rules", Key: "hsts", Value: `"1y" or { max-age = "1y", subdomains = true }`, Help: "Strict-Transport-Security in responses over HTTPS: browsers use only HTTPS for this time; subdomains: includes all subdomains; 0 ends it"},
	{Table: "rules", Key: "headers", Value: `{ "X-Frame-Options" = "DENY" }`, Help: "fields to add to responses; the login form and the status page keep their own Content-Security-Policy and Referrer-Policy"},
	{Table: "rules", Key: "remove-headers", Value: `["X-Powered-By"]`, Help: "fields to remove from responses"},
	{Table: "rules", Key: "allow", Value: `["192.168.0.0/16"]`, Help: "addresses that are allowed, even if deny lists them; without deny, all others get 403"},
	{Table: "rules", Key: "deny", Value: `["all"]`, Help: "addresses that get 403"},
	{Table: "rules", Key: "auth", Value: `{ realm = "admin", users = "htpasswd" }`, Help: "requires a name and password"},
	{Table: "rules", Key: "login", Value: `{ users = "users", title = "Router", logo = "logo.svg" }`, Help: "requires users to log in by a form; also the name of the file alone; false: neither login nor auth"},
	{Table: "rules", Key: "client-cert", Value: `"required"`, Help: "certificates of clients over HTTPS: required (from an authority of ca-certs; other clients get 403), optional (a client with a certificate that is not valid gets 403), unverified (the application decides) or none"},
	{Table: "rules", Key: "methods", Value: `["GET", "HEAD"]`, Help: "methods that are allowed; others get 405"},
	{Table: "rules", Key: "cache", Value: `"60s", true, false or { ttl = "60s", stale = "30s" }`, Help: "caches responses; true: for the lifetime that each response states; the table also takes heuristic, vary, query, status and cookies"},
	{Table: "rules", Key: "max-body-size", Value: `"1M"`, Help: "largest request body"},
	{Table: "rules", Key: "timeout", Value: `"30s"`, Help: "maximum time until the response starts"},
	{Table: "rules", Key: "proxy-tunnel-timeout", Value: `"1h"`, Help: "proxy: closes a WebSocket after this time without data; 0: never"},
	{Table: "rules", Key: "proxy-preserve-host", Value: "true", Help: "proxy: true sends the Host of the client, false that of the URL"},
	{Table: "rules", Key: "proxy-tls-ca", Value: `"ca.pem"`, Help: "proxy to https://: file of trusted certificates (PEM); by default those of the system"},
	{Table: "rules", Key: "proxy-tls-name", Value: `"api.example.org"`, Help: "proxy to https://: name in the certificate, also sent as SNI; by default that of the URL"},
	{Table: "rules", Key: "proxy-client-cert", Value: "true", Help: "proxy: sends the verified certificate of the client in Client-Cert and Client-Cert-Chain (RFC 9440); these fields of clients are never forwarded"},
	{Table: "rules", Key: "proxy-tls-verify", Value: "true", Help: "proxy to https://: false accepts any certificate"},
}

// ErrorPages are pages by the status that they are for: a path below the root,
// or a URL.
type ErrorPages map[int]string

// FromFile implements settings.TableReader.
func (e *ErrorPages) FromFile(v settings.TOMLValue) error {
	var pairs settings.Pairs
	if err := pairs.FromFile(v); err != nil {
		return err
	}
	*e = ErrorPages{}
	for _, p := range pairs {
		status, err := strconv.Atoi(p.Name)
		if err != nil || status < 400 || status > 599 {
			return fmt.Errorf("pages for statuses from 400 to 599, not %q", p.Name)
		}
		if !strings.HasPrefix(p.Value, "/") && !strings.HasPrefix(p.Value, "http://") && !strings.HasPrefix(p.Value, "https://") {
			return fmt.Errorf("paths that begin with a slash, or URLs, not %q", p.Value)
		}
		(*e)[status] = p.Value
	}
	return nil
}

// Networks are addresses of clients: "10.0.0.0/8", "::1", "all".
type Networks []netip.Prefix

// FromFile implements settings.TableReader.
func (n *Networks) FromFile(v settings.TOMLValue) error {
	list, err := v.Strings()
	if err != nil {
		return err
	}
	for _, one := range list {
		if one == "all" {
			*n = append(*n, netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0))
			continue
		}
		network, err := settings.ParseNetwork(one)
		if err != nil {
			return fmt.Errorf(`addresses, networks such as "10.0.0.0/8", or "all", not %q`, one)
		}
		*n = append(*n, network)
	}
	return nil
}

package plan

// keyHelp lists pairs of a key in fapws.toml and its description. If a key belongs to a table, the name of the table
// precedes the key.
var keyHelp = [][2]string{
	{"app", "the application, as APP on the command line"},
	{"root", "a directory of files; with app, existing files are served first"},
	{"args", "sys.argv[1:] of the application"},
	{"unknown-host", "status for unknown host names; by default, the first host serves them"},
	{"host", "a site with names, files, application and routes"},
	{"host name",
		"host names; * stands for the beginning or the end of a name; omitted: all names that no other host has"},
	{"host default", "true: also serve all other names; by default, the first host does"},
	{"host root", "a directory of files, for paths that match no route"},
	{"host app", "an application, for paths that match no route and no file"},
	{"host ssi", "server-side includes in the pages under root"},
	{"host certfile", "the certificate of these names for HTTPS, as with --certfile"},
	{"host keyfile", "its private key; not needed if certfile has the key"},
	{"host ca-certs", "CAs of the certificates of its clients, as with --ca-certs; used by client-cert and cert-reqs"},
	{"host https-redirect", "redirect plain HTTP to HTTPS; overrides --https-redirect for this host"},
	{"host access-log", "access log of this host"},
	{"host access-log-format", "the format of that log"},
	{"host error-log", "error log of this host"},
	{"host error-page", "pages by status: the path of a file of the host, or a URL to redirect to"},
	{"host route", "rules or a source for some paths; the first matching route applies, before root and app"},
	{"host.route access-log",
		"false: no lines for these requests in the access log, for probes and polls; metrics still count them"},
	{"host.route max-active",
		"maximum number of active requests of an application or upstream in each worker, so that slow ones leave" +
			" threads to others; up to 100 further ones wait, for timeout or 30 s, others get 503"},
	{"host.route prefix", "path prefix"},
	{"host.route match", "pattern for the file name; with prefix, only for paths under it"},
	{"host.route app",
		"an application, mounted at the prefix; the application of the host keeps its own paths, so this can add" +
			" rules to a part of it"},
	{"host.route files", "a directory of files"},
	{"host.route cgi", "programs (CGI/1.1) in a directory, or in root; the table also takes interpreters and env"},
	{"host.route php", "PHP; the table takes children, front, ini, env, mode, max-requests, idle, command and args"},
	{"host.route fastcgi", "a FastCGI server; a table has address, params, front, connections and idle"},
	{"host.route ssi", "server-side includes in pages of files"},
	{"host.route redirect",
		"redirects, with status (302 by default); ${path}, ${query}, ${host}, ${scheme} and $1 (the rest of the " +
			"path after the prefix) are replaced; the query is kept unless the value has a ?"},
	{"host.route rewrite", "continues with another path at the following routes"},
	{"host.route proxy",
		"forwards to another server: http://, https:// or unix:/path/of/socket; a path in the URL replaces the " +
			"prefix, without one the path stays; of several servers, an array, the one with the fewest active " +
			"requests gets the next request"},
	{"host.route upload",
		"stores files that clients send, in a directory or at a path; the table also takes max-size (1G by " +
			"default), max-active, sync, replace, mode, channel, resumable, expires and origins"},
	{"host.route status", "responds with this status"},
	{"host.route text", "the body of this response"},
	{"host.route root", "document root of cgi, php and fastcgi; by default that of the host"},
	{"rules cache",
		"caches responses; true: for the lifetime that each response states; the table also takes heuristic, " +
			"vary, query, status and cookies"},
	{"rules max-body-size", "largest request body"},
	{"rules early-hints",
		"values of Link in a 103 response that browsers get before an application or an upstream answers"},
	{"rules timeout", "maximum time until the response starts"},
	{"rules hsts",
		"Strict-Transport-Security in responses over HTTPS: browsers use only HTTPS for this time; subdomains: " +
			"includes all subdomains; 0 ends it"},
	{"rules headers",
		"fields to add to responses; the login form and the status page keep their own Content-Security-Policy " +
			"and Referrer-Policy"},
	{"rules remove-headers", "fields to remove from responses"},
	{"rules allow", "addresses that are allowed, even if deny lists them; without deny, all others get 403"},
	{"rules deny", "addresses that get 403"},
	{"rules auth", "requires a name and password"},
	{"rules login",
		"requires users to log in by a form; also the name of the file alone; false: neither login nor auth"},
	{"rules client-cert",
		"certificates of clients over HTTPS: required (from a CA of ca-certs; other clients get 403), optional " +
			"(a client with a certificate that is not valid gets 403), unverified (the application decides) or none"},
	{"rules rate",
		"how often a client may send requests; more get 429; the table takes rate, burst, by ('address', 'user' " +
			"or 'header X-Api-Key'), fields and dry-run; an array has several limits; false: none"},
	{"rules methods", "methods that are allowed; others get 405"},
	{"rules proxy-tls-ca", "proxy to https://: file of trusted certificates (PEM); by default those of the system"},
	{"rules proxy-tls-name",
		"proxy to https://: name in the certificate, also sent as SNI; by default that of the URL"},
	{"rules proxy-tls-verify", "proxy to https://: false accepts any certificate"},
	{"rules proxy-client-cert",
		"proxy: sends the verified certificate of the client in Client-Cert and Client-Cert-Chain (RFC 9440); " +
			"these fields of clients are never forwarded"},
	{"rules proxy-preserve-host", "proxy: true sends the Host of the client, false that of the URL"},
	{"rules proxy-request-buffering",
		"proxy: true receives a request body completely before the server gets it; false forwards it as it " +
			"arrives, and never to a second server"},
	{"rules proxy-tunnel-timeout", "proxy: closes a WebSocket after this time without data; 0: never"},
	{"rules proxy-idle",
		"proxy: keeps unused connections to the server for this time; by default 100ms, because a server with " +
			"one thread or process serves nobody else meanwhile"},
	{"rules proxy-health",
		"proxy: asks each server for this path every 10s; a server that does not answer with a status from 200 " +
			"to 399 within 5s gets no requests until it does"},
	{"rules proxy-sticky",
		"proxy to several servers: sends a client to the server that has answered it before, by a cookie"},
	{"types", "media types by extension; also in a host or route"},
}

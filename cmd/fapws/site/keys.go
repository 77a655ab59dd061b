package site

import "fapws/cmd/fapws/settings"

// KeyDocs describe the keys of a configuration file that are not settings, for
// the man page and the README.
var KeyDocs = []settings.KeyDoc{
	{Table: "", Key: "app", Value: `"app.py"`, Help: "the application, as APP on the command line"},
	{Table: "", Key: "root", Value: `"./site"`, Help: "a folder of files; with app, what is there goes before it"},
	{Table: "", Key: "args", Value: `["one", "two"]`, Help: "sys.argv[1:] of the application"},
	{Table: "", Key: "types", Value: `{ gpx = "application/gpx+xml" }`, Help: "types of files by extension; also of a host or route"},
	{Table: "", Key: "unknown-host", Value: `"421"`, Help: "refuse hosts that are not named; not given, the default one serves them"},
	{Table: "", Key: "host", Value: "[[host]]", Help: "what answers for some names"},

	{Table: "host", Key: "name", Value: `["example.org", "*.example.org"]`, Help: "names, with a star for what comes before or behind; without it, all that no other host has"},
	{Table: "host", Key: "default", Value: "true", Help: "answers for all other names, too; else the first host does"},
	{Table: "host", Key: "root", Value: `"/srv/site"`, Help: "files where no route fits"},
	{Table: "host", Key: "app", Value: `"pkg.mod:app"`, Help: "application where no file is"},
	{Table: "host", Key: "ssi", Value: `true, ["*.html"] or { exec = true }`, Help: "server-side includes in pages below root; also of a route with files"},
	{Table: "host", Key: "access-log", Value: `"FILE"`, Help: "a log of its own"},
	{Table: "host", Key: "access-log-format", Value: `"common"`, Help: "its format"},
	{Table: "host", Key: "error-log", Value: `"FILE"`, Help: "a log of its own for what goes wrong"},
	{Table: "host", Key: "error-page", Value: `{ 404 = "/404.html" }`, Help: "pages by status: the path of a plain file of the host, or a URL to redirect to"},
	{Table: "host", Key: "route", Value: "[[host.route]]", Help: "what answers for some paths; the first that fits, in their order, before root and app"},

	{Table: "host.route", Key: "prefix", Value: `"/static/"`, Help: "beginning of the paths"},
	{Table: "host.route", Key: "match", Value: `"*.php"`, Help: "name of the file, in the place of prefix or below it"},
	{Table: "host.route", Key: "app", Value: `"blog.py"`, Help: "an application, mounted at the prefix; that of the host stays in its place, so that rules can be for a part of it"},
	{Table: "host.route", Key: "files", Value: `"DIR"`, Help: "a folder"},
	{Table: "host.route", Key: "cgi", Value: `"DIR", true or { folder = "DIR" }`, Help: "programs (CGI/1.1) in a folder, or in root; a table may have interpreters and env, too"},
	{Table: "host.route", Key: "php", Value: `true, "php-cgi" or { children = 4 }`, Help: "PHP in processes that are kept; a table may have command, args, ini, env, mode, front, children, max-requests, idle"},
	{Table: "host.route", Key: "fastcgi", Value: `"unix:/run/php.sock"`, Help: "a FastCGI server; a table has address, and params, front, connections, idle"},
	{Table: "host.route", Key: "ssi", Value: `true, ["*.html"] or { exec = true }`, Help: "with files: server-side includes"},
	{Table: "host.route", Key: "redirect", Value: `"https://example.org${path}"`, Help: "elsewhere, with status or 302; it may hold ${path}, ${query}, ${host}, ${scheme}, and $1 for what follows the prefix; the query is kept unless there is a ? in it"},
	{Table: "host.route", Key: "rewrite", Value: `"/new/$1"`, Help: "another path, for the routes that follow"},
	{Table: "host.route", Key: "proxy", Value: `"http://127.0.0.1:9000"`, Help: "another server, http://, https:// or unix:/path/of/socket; a path behind it takes the place of the prefix, without one the path stays"},
	{Table: "host.route", Key: "status", Value: "404", Help: "an answer with this status"},
	{Table: "host.route", Key: "text", Value: `"Gone."`, Help: "its body"},
	{Table: "host.route", Key: "root", Value: `"DIR"`, Help: "document root of cgi, php, fastcgi; not given, that of the host"},

	{Table: "rules", Key: "headers", Value: `{ "X-Frame-Options" = "DENY" }`, Help: "added to responses"},
	{Table: "rules", Key: "remove-headers", Value: `["X-Powered-By"]`, Help: "taken out of them"},
	{Table: "rules", Key: "allow", Value: `["192.168.0.0/16"]`, Help: "clients that may, also if they are in deny; without deny, nobody else may"},
	{Table: "rules", Key: "deny", Value: `["all"]`, Help: "clients that may not: 403"},
	{Table: "rules", Key: "auth", Value: `{ realm = "admin", users = "htpasswd" }`, Help: "ask for a name and password"},
	{Table: "rules", Key: "cache", Value: `"60s", true, false or { ttl = "60s", stale = "30s" }`, Help: "keep answers in memory; true: as their Cache-Control says; a table may also have heuristic, vary, query, status and cookies"},
	{Table: "rules", Key: "max-body-size", Value: `"1M"`, Help: "largest body of a request"},
	{Table: "rules", Key: "timeout", Value: `"30s"`, Help: "longest time until the answer begins"},
	{Table: "rules", Key: "methods", Value: `["GET", "HEAD"]`, Help: "others are 405"},
	{Table: "rules", Key: "proxy-tunnel-timeout", Value: `"1h"`, Help: "of a proxy: how long nobody need say anything on a WebSocket; 0 for ever"},
	{Table: "rules", Key: "proxy-preserve-host", Value: "true", Help: "of a proxy: the server behind gets the Host that the client has asked for; false: its own"},
	{Table: "rules", Key: "proxy-tls-ca", Value: `"ca.pem"`, Help: "of a proxy to https://: a file of certificates (PEM) that vouch for the one of the server; without it, those of the system"},
	{Table: "rules", Key: "proxy-tls-name", Value: `"api.example.org"`, Help: "of a proxy to https://: the name that the certificate has to be for, and that is sent (SNI); without it, the one of the URL"},
	{Table: "rules", Key: "proxy-tls-verify", Value: "true", Help: "of a proxy to https://: false takes any certificate, whoever shows it"},
}

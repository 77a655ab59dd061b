// Package plan determines what a process serves from the command line and the configuration file, before anything is
// loaded. Package plan then loads the applications and builds the sites from the configuration file and the tables of
// paths. Load and the functions before it must be called on the main thread.
//
// envfile.go parses files of environment variables as for --env-file of Flask, Uvicorn and Docker: NAME=value,
// optionally with export, and comments. ${NAME} is replaced by an earlier variable, except in single quotes,
// ${NAME:-default} by default if the variable is unset or empty, and ${NAME:+text} by text if it is neither. Without
// the colon, an empty variable counts as set. Defaults and texts may have references, too. A quoted value may span
// lines.
//
// All mistakes in the file are collected, and the command check builds the sites to find more. The table of a host
// contains first its routes, then the files of its root, which may decline a path (exchange.Optional), and last the
// application. A route to the host's own application keeps the paths (Mount.Within), so that a cache or a password can
// apply to some of the paths. Another application is mounted at the prefix.
//
// Without an application, Python is not initialized, which saves memory. Python must start on its final thread, so
// inline mode must be known before the script runs: settings/peek.go searches its text for THREADS = 0, and
// Plan.ReadScript checks the result afterwards. Workers read the file themselves, so a bad file is a generation that
// fails to load. The supervisor reads it again only to report which settings require a restart.
//
// # The application
//
// findApplication resolves APP: a script, a module, or an object in a module. findApplication reads the source of the
// application if possible, because some decisions precede Python: a script with PATHS is run as __main__, others are
// imported. findApplication does not start Python; contrib/fapws/_load.py resolves names later.
//
// # Sites
//
// readSites converts the hosts and routes of the configuration file and the command line to the []exchange.Site of a
// server. This part does not depend on Python.
//
//   - config.go: keys at the top of the file that are not settings.
//   - host.go: the tables [[host]] and [[host.route]], one field for each key. Decoding checks types and names and
//     finds unknown keys.
//   - keys.go: types of fields for which settings has no kind, and the description of all keys.
//   - build.go: Build creates the sites and reports all mistakes with file and line. Built has the resources that the
//     sites need while they serve.
//   - files.go, cgi.go and kinds.go: the kinds of routes. rules.go, rates.go and logs.go: rules for all kinds.
//
// To add a kind of route, write a function of the type kind.build and add it to kinds (host.go). Responders are mounted
// with builder.responder. Rules for every kind are applied to mounts in builder.rules (rules.go).
//
// # Logs
//
// A Logger writes lines to standard error or to a file that replaces it. LogFiles are the access logs and error logs of
// hosts. Lines of the error log look like Apache's; lines on standard error are shorter. Package runtime/logfile writes
// and rotates the files and formats the lines of requests.
package plan

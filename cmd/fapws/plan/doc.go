// Package plan determines, from the command line and the configuration file, what a process serves. Package plan then
// loads the applications, and builds the sites from the configuration file and from the PATHS tables in applications.
// Load and all functions that are called before Load must be called on the main thread.
//
// The file envfile.go parses files with environment variables, in the same format as --env-file in Flask, Uvicorn and
// Docker. A line is a comment or NAME=value, optionally after the word export. A value can refer to earlier variables,
// except in single quotes. ${NAME} is replaced by the value of the variable. ${NAME:-default} is replaced by default if
// the variable is unset or empty. ${NAME:+text} is replaced by text if the variable is neither unset nor empty. Without
// the colon, an empty variable counts as set. A default or a text can contain references, too. A quoted value can span
// several lines.
//
// All mistakes in the configuration file are collected. The table of a host contains its routes first, then the files
// in its root, and the application last. If a route names the host's own application, the application sees the same
// paths as without the route (Mount.Within), so that a cache or a password can apply to only some paths.
//
// Without an application, Python is not initialized, to save memory. Python cannot move to another thread after its
// start, so it must be known before the script runs whether handlers run inline. Therefore settings/peek.go searches
// the text of the script for THREADS = 0. Plan.ReadScript checks this result after the script has run. Each worker
// reads the configuration file itself, so a reload with an invalid file fails like a reload with broken code. The
// supervisor rereads the file only to report which changed settings require a restart.
//
// # The application
//
// If possible, findApplication reads the source of the application, because some decisions must be made before Python
// starts: a script with PATHS is run as __main__, and a script without PATHS is imported. findApplication does not
// start Python; contrib/fapws/_load.py later resolves the name of the object.
//
// # Sites
//
//   - config.go decodes keys at the top of the file that are not settings, and describes all keys.
//   - host.go defines the tables [[host]] and [[host.route]], with one field for each key. Decoding checks types and
//     names, and finds unknown keys.
//   - build.go contains builder, which creates the sites and reports each mistake with its file and line. Built holds
//     the resources that the sites need while they serve.
//   - host.go also contains siteBuilder, which creates the site of one host. files.go, cgi.go and kinds.go implement
//     the kinds of routes. rules.go and rates.go contain ruleBuilder, for the rules that apply to all kinds.
//
// A kind of route is one row of kinds (kinds.go): its key, the function that builds its mounts, and what the sandbox must
// allow for it. Responders are mounted with builder.responder. Rules for every kind are applied to mounts in
// ruleBuilder.rules (rules.go).
//
// # Logs
//
// A Logger writes lines to standard error or to the file that replaces standard error. Error logs have the format of
// Apache's error log, but lines on standard error are shorter. Package runtime/logfile writes and rotates the files and
// formats the lines of requests.
package plan

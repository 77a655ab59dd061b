// Package site turns the hosts and routes of the configuration file, and whatever the command line names to be
// served, into the []sites.Site of a server. It knows no Python: package plan gives it a function that loads
// applications, and calls Build before the server serves.
//
//   - config.go: the top of the file, in addition to settings.
//   - host.go, route.go: the tables [[host]] and [[host.route]], one field for each key. Decoding checks types and
//     names; an unknown key is found there.
//   - values.go: the types of those fields.
//   - build.go: Build makes the sites; it names all mistakes, each with file and line. Built has what they need while
//     they serve.
//   - A file for each kind of route (app.go, files.go, …) and for each rule that goes with any of them (rules.go,
//     cache.go, logs.go).
//
// To add a kind of route, write a file with a function of the type kind.build and name it in kinds (route.go).
// Responders are mounted with builder.responder. A rule that goes with every kind is put on the mounts of a route in
// builder.rules (rules.go).
package site

// Package site turns the hosts and routes of the configuration file, and what
// the command line names to be served, into the []runtime.Site of a server. It
// knows no Python: main gives it a function that loads applications.
//
//   - config.go: what the file may hold at its top besides settings.
//   - host.go, route.go: the tables [[host]] and [[host.route]], one field for each
//     key. Decoding checks types and names; an unknown key is found there.
//   - values.go: the types of those fields.
//   - build.go: Build makes the sites; it names everything that is wrong, each with
//     file and line, and Built is what they need while they serve.
//   - A file for each kind of route (app.go, files.go, …) and for each rule that goes with any
//     of them (rules.go, cache.go, logs.go).
//
// Who adds a kind of route writes a file with a function of the type kind.build
// and names it in kinds (route.go). Responders are mounted with builder.responder.
// A rule that goes with every kind is put on the mounts of a route in
// builder.rules (rules.go).
package site

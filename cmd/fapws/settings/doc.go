// Package settings has the settings of fapws. Each is declared once, as an entry in one of the tables table_*.go: its
// names, default, kind with limits, and help. The command line, --help, --print-config, the man page, the completion of
// bash and docs/settings.md are generated from the tables. An entry names the field of Config, or of an embedded Config
// of another package, that has the value. So a new setting needs an entry, a field, and code that reads the field; go
// test ./docs -update writes docs/settings.md.
//
// A setting has the value of the first of these places that sets it: flag, environment, file, script, default. The
// package does no I/O and needs no Python; most packages of cmd/fapws use it. foreign.go has advice for users of flags
// and commands of other servers.
//
// # The configuration file
//
// TOMLFile reads a configuration file in TOML (toml.io) into values with line numbers. DecodeTOML assigns the values to
// fields of a struct by the tag "key". Mistakes are errors of one line that begin with "file:line: ". TOMLFile does no
// I/O and does not depend on the settings: packages plan and command use it, too.
//
// The TOML library reports no lines of repeated keys, as in [[host]], so locate.go scans the text again after the
// library has accepted it. The parser of go-toml 2.2.4 reports positions, but its decoder reports no line for a key or
// table that is defined twice, and an "incomplete number" for a word without quotes.
//
// FindFile and ReadFile find and read the configuration file, fapws.toml, up to 1 MiB. A file in another format, such
// as nginx's, gets an error that names the format. Package plan calls these functions before anything is loaded.
// Package plan defines the keys of sites, and this package defines the keys of settings.
package settings

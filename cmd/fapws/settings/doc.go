// Package settings has the settings of fapws. Each is declared once, as an entry of one of the tables table_*.go: its names, default, kind
// with limits, and help. The command line, --help, --print-config, the man page, the completion of bash and docs/settings.md are made from
// the tables. An entry names the field of Config, or of the Config of another package in it, that has the value. So a new setting is an
// entry, a field, and the code that reads the field; go test ./docs -update writes docs/settings.md. Start reading at settings.go.
//
// A setting takes its value from the first of these places that has one: flag, environment, file, script, default.
// The package does no I/O and needs no Python; most packages of cmd/fapws use it. foreign.go answers flags and
// commands of other servers.
//
// # The configuration file
//
// TOMLFile reads a configuration file in TOML (toml.io) into values that know the line they stand on, and
// those into the fields of a struct by the tag "key" (DecodeTOML). Mistakes are errors of one line that begin with
// "file:line: ". It does no I/O, and knows no setting: packages plan and command use it, too. Start reading at
// tomlfile.go and decode.go.
//
// The TOML library reports no line where keys repeat, as in [[host]], so locate.go walks the text once more, which
// the library has accepted, and only finds ends of things. go-toml 2.2.4, whose parser has positions, was tried, but its
// decoder names no line for a key or table that is defined twice, and where a word has no quotes it reports an
// "incomplete number" instead of the word.
//
// FindFile and ReadFile find and read the configuration file, fapws.toml, up to 1 MiB. A file in another format, such
// as nginx's, gets an error that names the format. Package plan calls them before anything is loaded; it
// defines the keys of sites, and this package those of settings.
package settings

// Package settings knows every setting of fapws: its flag, its variable in the environment, its name as a global of
// the script, its default, its limits and its help. Each is declared once, by a field of Config
// with its tags (config.go); the command line, --help, --print-config, the man page, the completion of bash and docs/settings.md are read off
// these. Where another package of the server reads a setting, the tags name the field of the Config of that package. So a new
// setting is a field with tags, and the code that reads the field; go test ./docs -update writes docs/settings.md. Start reading at config.go.
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

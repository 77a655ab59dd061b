// Package settings defines the settings of fapws. Each setting is declared once, as an entry of the table in table.go.
// The entry contains the names, the default, the kind and limits of the value, and the field that stores the value, in
// Config or in a type that Config embeds. The file settings.txt has the help text and an example of each setting. The
// command line, --help, --print-config, the man page, the completion for bash, and docs/settings.md are generated from
// both. A new setting therefore needs an entry, a text, a field, and code that reads the field; go test ./docs -update
// rewrites docs/settings.md.
//
// A setting can be set in several places. In order of precedence, these are the flag, the environment variable, the
// configuration file, and the script; the default applies if none of them sets it. The package neither performs I/O nor
// needs Python.
//
// # The configuration file
//
// A TOMLFile contains the values of a configuration file in TOML (toml.io) with their line numbers. A mistake is
// reported as an error of one line that begins with "file:line: ". TOMLFile does not depend on the settings; packages
// plan and main use it, too.
//
// FindFile and ReadFile find and read the configuration file, fapws.toml, up to 1 MiB. Package plan defines the keys of
// sites, and this package defines the keys of settings.
package settings

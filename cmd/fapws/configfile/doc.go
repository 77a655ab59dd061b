// Package configfile finds and reads the configuration file, fapws.toml, up to 1 MiB. A file in another format, such
// as nginx's, gets an error that names the format. Package plan calls it before anything is loaded. Package tomlfile
// parses the text, and packages settings and site define the keys.
package configfile

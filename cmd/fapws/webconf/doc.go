// Package webconf turns the configuration file of httPyServer, web.conf, into one of fapws, for the command "fapws
// import". Its lines are
//
//	host DOMAIN ROOT      the directory of a domain; "default" is every other one
//	media EXTENSION TYPE  the media type of files
//	parameter NAME VALUE  timeout, in seconds
//
// and comments that begin with #. It does no I/O.
package webconf

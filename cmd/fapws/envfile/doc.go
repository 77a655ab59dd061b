// Package envfile reads files of environment variables, as --env-file of flask, uvicorn and docker name them:
//
//	# a comment
//	export NAME=value       # export is optional
//	SECRET='as it is, $1'
//	GREETING="two\nlines, ${NAME}"
//
// ${NAME} stands for a variable of an earlier line or of the environment, except in single quotes. A quoted value may
// span lines. The package does no I/O and sets nothing: package plan sets the variables before Python starts.
package envfile

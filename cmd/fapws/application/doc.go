// Package application finds what APP names: a script, a module or an object in one. It reads the source of the
// application where it can, because some decisions precede Python: whether the script has PATHS, and so whether it is
// run as __main__ or imported. It starts no Python; contrib/fapws/_load.py resolves names later. Package plan calls
// Find. Start reading at application.go.
package application

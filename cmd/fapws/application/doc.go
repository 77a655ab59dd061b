// Package application finds what APP names: a script, a module or an object in one. It
// reads the source of the application where it can, because some decisions precede
// Python: whether the script has PATHS, and so whether it is run or imported.
package application

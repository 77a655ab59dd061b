// Package bundle reads executables that "fapws bundle" has written (contrib/fapws/_bundle.py). Such an executable has
// an archive of modules, files and a manifest after its program. Start at Open. The modules stay in the executable; Unpack
// writes the files to a directory, once for each bundle.
package bundle

// Package static serves the files of a directory tree over HTTP: content types, entity tags and other conditions,
// ranges (RFC 9110 §13 and §14), compressed variants from disk or from memory, index pages and listings. The package
// does not use connections: it converts a parsed request to the head of a response and the segments of its body, which
// package conn sends.
//
// Files.Hit responds on the event loop, from memory or with an open file, if the disk was checked within the last
// second. Files.Open handles every other request on a goroutine and may wait for the disk. Source (serve.go) combines
// both into an exchange.Source.
//
//	static.go          Options and Files
//	serve.go           Source; FileRequest and FileResponse; from a request to the segments of its response
//	cache.go           cache of files, variants and listings
//	lookup.go          the file for a path, its index and variants; listings; statuses of errors
//	root.go            the document root, opened segment by segment; symbolic links
//	private.go         files that are hidden from clients: keys, backups, files named in the configuration
//	representation.go  a file in one state and one coding, with its fields; entity tags; open files
//	conditions.go      conditional requests; ranges
//	listing.go         the entries of a directory and their page
//	fields.go          media types, Cache-Control, fields of errors
//	handed.go          files that a handler names: Staticfile, X-Sendfile, X-Accel-Redirect
//	fixed.go           fixed responses and redirects, without files; error pages of a site
//
// # Cache
//
// Each root has one LRU cache of 16 MiB by default (--cache-files-max).
//
// Open files up to 1 MiB are sent by the event loop. Files of this size are read when they are opened, and once a
// second when the disk is checked again, so that sendfile finds them in memory. fstat before each response detects a
// file that was changed in place.
//
// # Compression
//
// A compressed variant is a representation with its own strong ETag. A compressed variant is created on a goroutine
// when it is first requested; other requests for the same variant wait. If other compressions do not finish within a
// second, clients get the original. If a variant is not smaller by an eighth, or is larger than a quarter of the cache,
// it is not used, and the server does not try to create it again. A variant on disk is preferred to one that must be
// compressed.
//
// # Symbolic links
//
// Absolute targets must be below the root and are resolved from the root. Therefore a link that changes during a
// request cannot lead outside, or circumvent the policies "no" and "owner" of Options.Symlinks. os.Root does not follow
// absolute links and does not have policies. ./build.sh fuzz paths tries a million paths while links are swapped.
//
// # Error pages
//
// An error page of a site (ErrorPages) is sent from the memory of Files on the event loop, or opened in the background.
package static

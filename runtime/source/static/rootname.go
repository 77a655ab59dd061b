package static

import "strings"

// Root is the document root as it was given, without a slash at its end. Any
// goroutine.
func (f *Files) Root() string { return strings.TrimRight(f.opt.Root, "/") }

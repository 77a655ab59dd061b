package static

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"fapws/runtime/http1"
)

// AccelRoot maps paths that begin with Prefix to files below Root.
type AccelRoot struct{ Prefix, Root string }

// sendRoot is a folder of which a handler may have files sent.
type sendRoot struct {
	prefix string // beginning of the names of its files, without a slash at the end
	files  *Files
}

// sendRoots are those of X-Sendfile and of X-Accel-Redirect. They do not change
// once they are open; any goroutine may use them.
type sendRoots struct{ named, mapped []sendRoot }

// open opens the folders: named ones and those of X-Accel-Redirect. The error is one line.
func (r *sendRoots) open(named []string, mapped []AccelRoot, private *Private) (err error) {
	add := func(to *[]sendRoot, field, prefix, root string) {
		files, e := New(Options{Root: root, CacheBytes: -1, Private: private})
		if e != nil && err == nil {
			err = fmt.Errorf("%s: %w", field, e)
		}
		*to = append(*to, sendRoot{strings.TrimRight(prefix, "/"), files})
	}
	for _, root := range named {
		abs, e := filepath.Abs(root)
		if e != nil {
			return fmt.Errorf("X-Sendfile: %s: %w", root, e)
		}
		add(&r.named, "X-Sendfile", abs, abs)
	}
	for _, one := range mapped {
		add(&r.mapped, "X-Accel-Redirect", one.Prefix, one.Root)
	}
	return err
}

var errNotSent = errors.New("not in a directory from which files may be sent")

// find returns the folder and the name in it that the value of X-Sendfile, or of X-Accel-Redirect if accel, means.
// That name is for os.Root, which does not let it lead outside.
func (r *sendRoots) find(value string, accel bool) (*Files, string, error) {
	if accel {
		return r.findMapped(value)
	}
	name := filepath.Clean(value)
	if !filepath.IsAbs(name) {
		if len(r.named) == 0 {
			return nil, "", errNotSent
		}
		return r.named[0].files, name, nil
	}
	if root, rest := longest(r.named, name); root != nil {
		return root.files, rest, nil
	}
	// Frameworks like to give the path with its links resolved.
	for i := range r.named {
		real, err := filepath.EvalSymlinks(r.named[i].prefix + "/")
		if err == nil && http1.IsBelow([]byte(name), strings.TrimRight(real, "/")) {
			return r.named[i].files, relative(name, strings.TrimRight(real, "/")), nil
		}
	}
	return nil, "", errNotSent
}

// findMapped takes a path as in a URL.
func (r *sendRoots) findMapped(value string) (*Files, string, error) {
	value, _, _ = strings.Cut(value, "?")
	decoded, err := url.PathUnescape(value)
	if err != nil || !strings.HasPrefix(value, "/") || strings.ContainsRune(decoded, 0) {
		return nil, "", errors.New("it is not a URL path")
	}
	resolved, ok := http1.ResolvePath(nil, []byte(value))
	if !ok {
		return nil, "", errors.New("its dot segments cannot be resolved")
	}
	if root, rest := longest(r.mapped, strings.TrimRight(string(http1.MergeSlashes(nil, resolved)), "/")); root != nil {
		return root.files, rest, nil
	}
	return nil, "", errNotSent
}

// longest returns the root with the longest prefix that name is below, and the
// rest of the name.
func longest(roots []sendRoot, name string) (root *sendRoot, rest string) {
	for i := range roots {
		if http1.IsBelow([]byte(name), roots[i].prefix) && (root == nil || len(roots[i].prefix) > len(root.prefix)) {
			root, rest = &roots[i], relative(name, roots[i].prefix)
		}
	}
	return root, rest
}

func relative(name, prefix string) string {
	if rest := strings.TrimLeft(name[len(prefix):], "/"); rest != "" {
		return rest
	}
	return "."
}

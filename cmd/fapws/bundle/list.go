package bundle

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// List prints the contents of the bundle: its parts with their sizes, the packages with versions and licences, and the
// files.
func (b *Bundle) List(w io.Writer) error {
	m, err := b.Manifest()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: fapws %s, Python %s, %s, %s\n\n", m.Name, m.Fapws, m.Python, m.Machine, b.ID())
	_, size := b.Modules()
	fmt.Fprintf(w, "%10d  fapws\n%10d  %d modules\n%10d  %d files\n", m.Program, size, m.Modules, b.trailer.Files.Size,
		len(m.Files))
	if len(m.Packages) > 0 {
		fmt.Fprintln(w)
	}
	for _, p := range m.Packages {
		fmt.Fprintln(w, strings.TrimSpace(p.Name+" "+p.Version+"  "+p.License))
	}
	fmt.Fprintln(w)
	for _, f := range m.Files {
		fmt.Fprintf(w, "%10d  %s\n", f.Size, f.Name)
	}
	return nil
}

// Check compares the hash of the bundle, and prints the shared libraries of the system that it needs.
func (b *Bundle) Check(w io.Writer) error {
	m, err := b.Manifest()
	if err == nil {
		err = b.Verify()
	}
	if err != nil {
		return err
	}
	names := needed(b.file)
	var own []string
	for _, f := range m.Files {
		if !isLibrary(f) {
			continue
		}
		content, err := b.content(f)
		if err != nil {
			return fmt.Errorf("%s: %w", b.Name, errDamaged)
		}
		text, _ := io.ReadAll(content)
		names = append(names, needed(bytes.NewReader(text))...)
		own = append(own, path.Base(f.Name))
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return slices.Contains(own, name) })
	if len(names) == 0 {
		names = []string{"no libraries"}
	}
	_, err = fmt.Fprintf(w, "%s is sound; it needs %s\n", b.Name, strings.Join(names, ", "))
	return err
}

// isLibrary reports whether f is a shared library or an extension module.
func isLibrary(f File) bool { return strings.Contains(path.Base(f.Name), ".so") }

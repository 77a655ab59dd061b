// Package samples contains scripts to learn from, some of which fapws new writes. The tests of package samples run each
// script with the built fapws (FAPWS_BIN, default ../build/fapws) and a real client.
package samples

import (
	"embed"
	"io/fs"
)

// The patterns leave out what a run writes into these directories, such as files of users.
//
//go:embed console/*.py console/*.md console/device.env console/fapws.toml console/errors console/pages console/www
//go:embed django/*.py django/guestbook/*.py django/guestbook/migrations/*.py django/guestbook/templates
//go:embed hello/*.py
var files embed.FS

// New maps the samples that fapws new writes to the command that starts each of them in its directory.
var New = map[string]string{"console": "fapws", "django": "fapws wsgi.py", "hello": "fapws hello.py"}

func Open(name string) fs.FS {
	sample, _ := fs.Sub(files, name) // the names of New are valid
	return sample
}

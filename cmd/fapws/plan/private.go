package plan

import (
	"os"
	"path/filepath"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/source/static"
)

// Private are the files that are not meant to be published, wherever they are: those that the configuration names for
// the server itself, the scripts of applications, and more.
func (c *SiteConfig) Private(conf *settings.Config, more ...string) *static.Private {
	files := append(more, conf.PidFile, logFile(conf.AccessLog), logFile(conf.ErrorLog))
	files = append(files, conf.EnvFiles...)
	files = append(append(files, conf.CertFiles...), conf.KeyFiles...)
	for _, address := range conf.Bind {
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			files = append(files, path)
		}
	}
	if s := conf.ControlSocket; s != "auto" && s != "off" {
		files = append(files, s)
	}
	if t := c.At.Table; t != nil {
		files = append(files, filepath.Join(t.File.Dir, filepath.Base(t.File.Name)))
	}
	for _, app := range c.Apps() {
		place, _ := settings.SplitApp(app.Name)
		module := filepath.Join(app.Folder(), strings.ReplaceAll(place, ".", "/"))
		files = append(files, existing(place, module+".py", filepath.Join(module, "__init__.py"))...)
	}
	files = append(files, c.UserFiles(conf)...)
	for i := range c.Hosts {
		h := &c.Hosts[i]
		files = append(files, logFile(string(h.AccessLog)), logFile(string(h.ErrorLog)), string(h.CertFile), string(h.KeyFile), string(h.ClientCAs))
	}
	return static.NewPrivate(files...)
}

// logFile returns the path of a log, or "".
func logFile(name string) string {
	if name == "-" || name == "off" {
		return ""
	}
	return name
}

// existing returns those that exist.
func existing(paths ...string) (files []string) {
	for _, one := range paths {
		if st, err := os.Stat(one); err == nil && st.Mode().IsRegular() {
			files = append(files, one)
		}
	}
	return files
}

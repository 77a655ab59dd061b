package settings

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// settingsModule is where manage.py of a Django site names the settings.
var settingsModule = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)\.settings`)
})

// DjangoModule returns the WSGI or ASGI module of the Django site whose manage.py is in
// folder, "mysite.wsgi", or "".
func DjangoModule(folder string) string {
	source, err := os.ReadFile(filepath.Join(folder, "manage.py"))
	if err != nil {
		return ""
	}
	m := settingsModule().FindSubmatch(source)
	if m == nil {
		return ""
	}
	for _, kind := range []string{".wsgi", ".asgi"} {
		module := string(m[1]) + kind
		if isFile(filepath.Join(folder, strings.ReplaceAll(module, ".", "/")+".py")) {
			return module
		}
	}
	return ""
}

// djangoModule returns the arguments of fapws for the Django site of a manage.py: "mysite.wsgi", or "-C DIR mysite.wsgi".
func djangoModule(manage string) string {
	folder := filepath.Dir(manage)
	module := DjangoModule(folder)
	if module == "" {
		module = "PROJECT.wsgi"
	}
	if folder != "." {
		module = "-C " + folder + " " + module
	}
	return module
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

package application

import (
	"fmt"
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
		if IsFile(filepath.Join(folder, strings.ReplaceAll(module, ".", "/")+".py")) {
			return module
		}
	}
	return ""
}

// DjangoHint returns the hint behind the error of a manage.py given as APP.
func DjangoHint(script string) string {
	if filepath.Base(script) != "manage.py" {
		return ""
	}
	folder := filepath.Dir(script)
	module := DjangoModule(folder)
	switch {
	case module == "":
		return ""
	case folder == ".":
		return "; for this Django site, type fapws " + module
	}
	return fmt.Sprintf("; for this Django site, type fapws -C %s %s", folder, module)
}

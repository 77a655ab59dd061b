package plan

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"regexp"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
)

// zipappMain matches the __main__.py that python3 -m zipapp -m MODULE:OBJECT writes.
const zipappMain = `(?m)^import ([\w.]+)\n([\w.]+)\(\)\s*\z`

// findInArchive finds the application of an archive that python3 can run (zipapp, shiv, pex). ok is false if the file is no
// zip archive.
func (a *Application) findInArchive(name string) (ok bool, err error) {
	if !settings.IsFile(name) {
		return false, nil // a pipe can be read only once
	}
	archive, err := zip.OpenReader(name)
	if err != nil {
		return false, nil
	}
	defer archive.Close()
	if a.Folder, err = filepath.Abs(name); err != nil {
		return true, process.ExitNotStarted("%v", err)
	}
	text, err := readMember(&archive.Reader, "__main__.py")
	if err != nil {
		return true, process.ExitUsage(fmt.Errorf("%s: %w; make it with python3 -m zipapp DIR -m MODULE:OBJECT", name, err))
	}
	var entry string
	if packed, entryPoint, err := entryOf(&archive.Reader); err != nil {
		return true, process.ExitUsage(fmt.Errorf("%s: %w", name, err))
	} else if packed {
		entry = entryPoint
	} else if m := regexp.MustCompile(zipappMain).FindSubmatch(text); m != nil && len(m[2]) > len(m[1])+1 {
		entry = string(m[1]) + ":" + string(m[2][len(m[1])+1:])
	} else if settings.HasWord(text, "PATHS") {
		a.Module, a.Source = "__main__", text
		return true, nil
	}
	if entry == "" {
		return true, process.ExitUsage(fmt.Errorf("%s names no application, and its __main__.py has no PATHS; make it with "+
			"python3 -m zipapp DIR -m MODULE:OBJECT, or with shiv -e or pex -e MODULE:OBJECT", name))
	}
	module, object := settings.SplitApp(entry)
	a.Module = module
	if a.Object == "" {
		a.Object = object
	}
	return true, nil
}

// Archives returns the absolute paths of the applications that are archives.
func (p *Plan) Archives() (paths []string) {
	for _, a := range p.apps {
		if a.Module != "" && a.Folder != "" && settings.IsFile(a.Folder) {
			paths = append(paths, a.Folder)
		}
	}
	return paths
}

// Scripts returns the paths of the applications that are files of Python and not modules.
func (p *Plan) Scripts() (paths []string) {
	for _, a := range p.apps {
		if a.Script != "" {
			paths = append(paths, a.Script)
		}
	}
	return paths
}

// entryOf returns the entry point of an archive of shiv or pex. packed is false for all other archives.
func entryOf(archive *zip.Reader) (packed bool, entry string, err error) {
	for _, name := range []string{"environment.json", "PEX-INFO"} {
		text, err := readMember(archive, name)
		if err != nil {
			continue
		}
		var object struct {
			Entry string `json:"entry_point"`
		}
		if err := json.Unmarshal(text, &object); err != nil {
			return true, "", fmt.Errorf("%s: %w", name, err)
		}
		return true, object.Entry, nil
	}
	return false, "", nil
}

const maxMember = 1 << 20

func readMember(archive *zip.Reader, name string) ([]byte, error) {
	f, err := archive.Open(name)
	if err != nil {
		return nil, fmt.Errorf("there is no %s in the archive", name)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxMember))
}

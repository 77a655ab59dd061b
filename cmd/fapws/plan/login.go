package plan

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/auth"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/login"
	"fapws/runtime/sites"
	"fapws/runtime/system"
)

// Login has users log in by a form: the key login, or an entry of PATHS.
type Login struct {
	At    settings.Position
	Users settings.KeyPath `key:"users"` // in htpasswd's format; it need not exist yet
	Title string           `key:"title"` // heading of the form
	Logo  settings.KeyPath `key:"logo"`  // image above it

	Off bool // login = false: not here
}

func (l *Login) wanted() bool { return l != nil && !l.Off }

// FromFile implements settings.TableReader.
func (l *Login) FromFile(v settings.TOMLValue) error {
	switch x := v.Any.(type) {
	case bool:
		if !x {
			l.Off = true
			return nil
		}
	case string:
		return l.Users.FromFile(v)
	case *settings.TOMLTable:
		type keys Login // without FromFile
		var wrong error
		settings.DecodeTOML(x, (*keys)(l), func(err error) { wrong = errors.Join(wrong, err) })
		if wrong == nil && l.Users == "" {
			wrong = l.At.Errorf("login", `it needs users, the name of a file such as "users"`)
		}
		return wrong
	}
	return errors.New(`a file of users such as "users", false, or a table with users, title and logo`)
}

// loginSetting takes the setting login, which goes before the key of that name unless it stands in the same file.
func (c *SiteConfig) loginSetting(p *SiteParts) {
	if users := p.Conf.LoginUsers; users != "" && (c.Login == nil || p.Source("login").Level != settings.FromFile) {
		c.Login = &Login{At: c.At, Users: settings.KeyPath(users)}
	}
}

// UserFiles returns the files of users that the configuration names, each once.
func (c *SiteConfig) UserFiles(conf *settings.Config) (files []string) {
	note := func(file string) {
		if file != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	rules := func(r *TopRules) {
		if r.Login.wanted() {
			note(string(r.Login.Users))
		}
		if r.Auth != nil {
			note(string(r.Auth.Users))
		}
	}
	note(conf.LoginUsers)
	rules(&c.TopRules)
	for i := range c.Hosts {
		rules(&c.Hosts[i].TopRules)
		for k := range c.Hosts[i].Routes {
			rules(&c.Hosts[i].Routes[k].TopRules)
		}
	}
	return files
}

// hostLogin is what users of a host log in to.
type hostLogin struct {
	login *login.Login // nil: nothing will be served
	users string       // absolute path of their file
}

// login returns what users of the host that is being built log in to. A host has one: there is one form.
func (b *builder) login(l *Login) *login.Login {
	if !l.wanted() {
		return nil
	}
	users, err := filepath.Abs(string(l.Users))
	if err != nil {
		b.wrong(l.At.Errorf("login", "%v", err))
		return nil
	}
	if known := b.loginHere; known != nil {
		if known.users != users {
			b.wrong(l.At.Errorf("login", "this host has users in %s already; a host has one file of users for login", known.users))
		}
		return known.login
	}
	made, err := b.newLogin(l, users)
	if err != nil {
		b.wrong(l.At.Errorf("login", "%v", err))
		return nil
	}
	b.loginHere = &hostLogin{made, users}
	return made
}

// newLogin returns nil if nothing will be served.
func (b *builder) newLogin(l *Login, path string) (*login.Login, error) {
	users, err := auth.NewOptionalUsers(b.passwords, path, func(line string) { b.parts.Log(logfile.Error, line) })
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "users: "))
	}
	image, err := logo(string(l.Logo))
	if err != nil || b.parts.Check {
		return nil, err
	}
	conf := b.parts.Conf
	if b.state == nil {
		if b.state, err = login.OpenState(filepath.Join(b.parts.StateDir, LoginDir), conf.LoginAge); err != nil {
			return nil, err
		}
		b.built.closers = append(b.built.closers, func() error { b.state.Close(); return nil })
		b.built.Writes = append(b.built.Writes, filepath.Join(b.parts.StateDir, LoginDir))
	}
	b.built.Reads = append(b.built.Reads, filepath.Dir(path))
	made, err := login.New(login.Options{
		Users: users, State: b.state, Idle: conf.LoginIdle, Age: conf.LoginAge, Title: l.Title, Logo: image, Run: b.parts.Run,
		Log:   func(line string) { b.parts.Log(logfile.Warning, line) },
		Event: func(client, line string) { b.parts.LogClient(logfile.Info, client, line) },
	})
	if err == nil {
		made.Announce()
	}
	return made, err
}

// LoginDir is the directory of sessions in the state directory.
const LoginDir = "login"

// maxLogo is how many bytes a logo may have: it is in each page.
const maxLogo = 32 << 10

// logo returns an image as a URL that has all of it; "": none.
func logo(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if system.Replaceable(abs) {
		return "", fmt.Errorf("logo: the application can replace %s by a link to another file; move it out of the directories of sandbox-write, logs and uploads", path)
	}
	image, err := os.ReadFile(abs)
	if err != nil {
		return "", err
	}
	kind := exchange.MediaTypeByName(filepath.Base(path))
	if !strings.HasPrefix(kind, "image/") || len(image) > maxLogo {
		return "", fmt.Errorf("logo: %s is not an image of up to %d KiB", path, maxLogo>>10)
	}
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(image), nil
}

// maxForms is how many requests for the form are answered at a time, most of them waiting for the check of a password.
const maxForms = 1024

// loginPages returns the mounts of the form, and for logging out, if users of the host log in.
func (b *builder) loginPages() []sites.Mount {
	if b.loginHere == nil || b.loginHere.login == nil {
		return nil
	}
	body, _ := sites.NewRules(sites.RuleOptions{MaxBodySize: login.MaxBody})              // nothing in it can be wrong
	pool := backend.New(maxForms, func(line string) { b.parts.Log(logfile.Error, line) }) // others are for proxies and programs
	return []sites.Mount{
		{Prefix: login.FormPath, ToLogIn: true, OwnPolicy: true, Rules: body, Handler: pool, Index: pool.Add(b.loginHere.login.Form())},
		{Prefix: login.OutPath, ToLogIn: true, OwnPolicy: true, Rules: body, Handler: pool, Index: pool.Add(b.loginHere.login.Out())},
	}
}

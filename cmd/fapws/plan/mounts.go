package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/static"
	"fapws/runtime/source/upload"
)

// The loop takes an interpreter for its handler without knowing it.
var _ interface {
	app.Receiver
	app.Pacer
} = (*pybridge.Handler)(nil)

// mounter makes mounts of the entries of PATHS.
type mounter struct {
	script   string // for messages
	threads  int
	loader   *programs.Loader // its children run the handlers; nil: this process does
	programs *Programs
	private  *static.Private
	chroot   string
	uploads  *upload.Group
	log      func(level logfile.Level, client, line string)
	to       Mounting
	check    bool // for mistakes only
}

// table opens the document roots of mounts, so that the loop can serve them without
// Python, and the directories of programs.
func (t *mounter) table(mounts []pybridge.Mount) ([]sites.Mount, error) {
	table := make([]sites.Mount, len(mounts))
	var wrong []error
	for i := range mounts {
		var err error
		if table[i], err = t.mount(&mounts[i]); err != nil {
			wrong = append(wrong, process.ExitNotStarted("%s: PATHS[%d], %q: %v", t.script, i, mounts[i].Prefix, err))
		}
	}
	return table, errors.Join(wrong...)
}

// occupies returns how long a request for m keeps others from running.
func (t *mounter) occupies(m *pybridge.Mount) app.Occupancy {
	switch {
	case !m.Kind.OnThreads() || t.loader != nil:
		return app.OccupiesNothing
	case t.threads == 0:
		return app.OccupiesUntilHead
	}
	return app.OccupiesUntilEnd
}

func (t *mounter) mount(m *pybridge.Mount) (mount sites.Mount, err error) {
	mount = sites.Mount{
		Prefix:       m.Prefix,
		Index:        m.Index,
		Resolved:     m.CGI == "",
		WebSocket:    m.Kind.WebSockets(),
		Group:        m.Group(),
		DetachSocket: t.threads > 0 && m.Kind.Detaches() && t.loader == nil, // inline, it would hold up the loop
		Occupies:     t.occupies(m),
		Streams:      m.Kind.Streams(),
	}
	if m.Cache != "" {
		if mount.Cache, err = readRule(m.Cache); err != nil {
			return mount, err
		}
	}
	if m.Login != "" {
		l := loginOf(m.Login)
		mount.Login = t.to.Login(&Login{Users: settings.KeyPath(l.Users), Title: l.Title, Logo: settings.KeyPath(l.Logo)})
	}
	switch {
	case m.Static != nil:
		options, err := static.ParseOptions(m.Static.JSON)
		if err != nil {
			return mount, err
		}
		options.Private = t.private
		files, err := static.New(options)
		if err == nil {
			mount.Source = static.NewSource(files, false)
		}
		return mount, err
	case m.CGI != "":
		program, err := t.programs.mounted(m.CGI, t.check)
		if err != nil {
			return mount, err
		}
		mount.Handler, mount.Index = t.to.Add(program)
	case t.loader != nil:
		mount.Handler, mount.Index = t.to.Add(&programs.LoaderMount{Loader: t.loader, Index: m.Index, Name: m.Name})
	}
	if m.Upload != "" {
		return mount, t.upload(&mount, m.Upload)
	}
	return mount, nil
}

// upload has what clients send to a mount stored before its handler, if it has one, is called.
func (t *mounter) upload(mount *sites.Mount, text string) error {
	options, err := upload.ParseOptions(text)
	if err != nil {
		return err
	}
	if options.Pieces > 0 && t.loader != nil {
		return errors.New("upload: a generator function needs a process that stays, and --fork has one for each request")
	}
	options.Root, options.Group = t.chroot, t.uploads
	options.Log = func(client, line string) { t.log(logfile.Error, client, line) }
	to, err := upload.New(options)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	mount.Streams, mount.Asks = true, true
	handler, index := t.to.Add(to)
	if !options.HandsOn {
		mount.Handler, mount.Index = handler, index
		return nil
	}
	mount.Receives = &sites.Receives{Handler: handler.(app.Receiver), Index: index}
	return nil
}

// loginArguments are the arguments of fapws.Login.
type loginArguments struct {
	Users string `json:"users"`
	Title string `json:"title"`
	Logo  string `json:"logo"`
}

// loginOf reads what pybridge.Mount.Login has; the zero value for "".
func loginOf(text string) (l loginArguments) {
	_ = json.Unmarshal([]byte(text), &l) // contrib/fapws/_login.py has made it
	return l
}

// readRule reads the rule that fapws.cache.cached gives to an entry of PATHS.
func readRule(text string) (*cache.Compiled, error) {
	var r struct {
		TTL           float64  `json:"ttl"`
		Stale         float64  `json:"stale"`
		Heuristic     float64  `json:"heuristic"`
		Vary          []string `json:"vary"`
		Status        []int    `json:"status"`
		IgnoreQuery   bool     `json:"ignore_query"`
		IgnoreCookies bool     `json:"ignore_cookies"`
		Compress      bool     `json:"compress"`
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, err
	}
	return cache.Compile(cache.Rule{
		TTL:           time.Duration(r.TTL * float64(time.Second)),
		Stale:         time.Duration(r.Stale * float64(time.Second)),
		Heuristic:     time.Duration(r.Heuristic * float64(time.Second)),
		Vary:          r.Vary,
		Status:        r.Status,
		IgnoreQuery:   r.IgnoreQuery,
		IgnoreCookies: r.IgnoreCookies,
		Compress:      r.Compress,
	})
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"fapws/cmd/fapws/bundle"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/worker"
	"fapws/pybridge"
)

// bundleOptions are the flags of "fapws bundle", and further options for contrib/fapws/_bundle.py.
type bundleOptions struct {
	Output    string   `json:"output"`
	Include   []string `json:"include"`
	Exclude   []string `json:"exclude"`
	Languages []string `json:"languages"`
	Bare      bool     `json:"bare"`    // without sources
	Whole     bool     `json:"whole"`   // with the whole standard library
	Library   string   `json:"library"` // directory of the standard library, or "" for that of this Python

	Requirements string `json:"requirements"` // file that pip reads, or ""
	Packages     string `json:"packages"`     // directory with the packages of Requirements, or ""
	HasStdlib    bool   `json:"complete"`     // Program contains the standard library.
	Libc         string `json:"libc"`         // of Program (bundle.Target)

	Name    string   `json:"name"`
	Program string   `json:"program"` // the executable to copy
	Digits  int64    `json:"digits"`  // offset in Program of the length of the bundle, 20 digits
	Version string   `json:"version"`
	Machine string   `json:"machine"`
	Root    string   `json:"root"`    // directory of the application
	Written []string `json:"written"` // files and directories that the server writes (plan.Written)
	Scripts []string `json:"scripts"` // the applications that are files
	Start   string   `json:"start"`   // a fapws.toml for Root, or ""

	visits            []string // paths to request before the bundle is written
	version           string   // of Python, such as "3.11"
	foreign           bool     // The packages of this machine do not run with Program.
	named             bool     // The command line names the application.
	help, list, check bool
}

// parseBundle parses words, the arguments after "bundle" in the command line args. line is the command line that loads the
// application or, with --list and --check, the name of the bundle.
func parseBundle(args, words []string) (o *bundleOptions, line []string, err error) {
	o = &bundleOptions{Include: []string{}, Exclude: []string{}, Languages: []string{}}
	set := pflag.NewFlagSet(string(settings.WordBundle), pflag.ContinueOnError)
	set.StringVarP(&o.Output, "output", "o", "", "")
	set.StringSliceVar(&o.Include, "include", o.Include, "")
	set.StringSliceVar(&o.Exclude, "exclude", o.Exclude, "")
	set.StringSliceVar(&o.Languages, "languages", o.Languages, "")
	set.BoolVar(&o.Bare, "no-source", false, "")
	set.StringVar(&o.Requirements, "requirements", "", "")
	set.StringVar(&o.Program, "executable", "", "")
	set.StringVar(&o.Library, "library", "", "")
	set.StringArrayVar(&o.visits, "visit", nil, "")
	library := set.String("stdlib", "used", "")
	set.BoolVar(&o.list, "list", false, "")
	set.BoolVar(&o.check, "check", false, "")
	count := len(args) - len(words) - 1 // of the flags that precede the word
	words, err = settings.ParseFlags(set, words)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		o.help = true
		return o, nil, nil
	case err != nil:
		return nil, nil, err
	case *library != "used" && *library != "full":
		return nil, nil, fmt.Errorf("--stdlib is %q: must be used or full", *library)
	case len(words) > 1:
		return nil, nil, fmt.Errorf("unexpected word %s", words[1])
	case (o.list || o.check) && len(words) == 0:
		return nil, nil, errors.New("name a bundle")
	case o.list || o.check:
		return o, words, nil
	case o.Output == "":
		return nil, nil, errors.New("name the executable to write: -o FILE")
	}
	for _, target := range o.visits {
		if !settings.IsTarget(target) {
			return nil, nil, fmt.Errorf("--visit is %q: must be a path such as /health, or http://host/health", target)
		}
	}
	o.Whole = *library == "full"
	line = append(slices.Clone(args[:count]), string(settings.WordCheck))
	if o.named = len(words) > 0; o.named && settings.IsFile(filepath.Join(words[0], "fapws.toml")) {
		line, o.named = append(line, "-c"), false
	}
	return o, append(line, words...), nil
}

// startBundle runs "fapws bundle", up to the loading of the application. cmd is nil if the command has ended.
func startBundle(args, words []string, stdout io.Writer) (o *bundleOptions, cmd *settings.CommandLine, err error) {
	o, line, err := parseBundle(args, words)
	if err == nil && (o.list || o.check) {
		return nil, nil, showBundle(o, line[0], stdout)
	}
	if err == nil && o.help {
		_, err = io.WriteString(stdout, settings.CommandHelp(settings.WordBundle))
		return nil, nil, err
	}
	if err == nil && process.Interpreter() != "" {
		err = errors.New("this fapws is a library of its Python (pip); use the executable of a release or of ./build.sh build")
	}
	if err == nil {
		cmd, err = settings.ParseCommand(line, plan.KeyDocs)
	}
	if err != nil {
		return nil, nil, process.ExitUsage(fmt.Errorf("bundle: %w", err))
	}
	cmd.Word = settings.WordBundle
	return o, cmd, nil
}

// showBundle runs "fapws bundle --list" or --check.
func showBundle(o *bundleOptions, name string, stdout io.Writer) error {
	b, err := bundle.Open(name, name)
	switch {
	case err == nil && b == nil:
		err = fmt.Errorf("%s is no bundle; write one with fapws bundle APP -o FILE", name)
	case err == nil && o.list:
		err = b.List(stdout)
	case err == nil:
		err = b.Check(stdout)
	}
	if err != nil {
		return process.ExitNotStarted("bundle: %v", err)
	}
	return nil
}

// complete adds what the plan knows. It writes the fapws.toml of a bundle whose application has none to a file, which the
// caller removes (o.Start). If fapws.toml names the application, complete changes to its directory, where users start this
// application, so that the application finds and writes its data there.
func (o *bundleOptions) complete(p *plan.Plan) (err error) {
	for _, path := range []*string{&o.Output, &o.Program, &o.Library, &o.Requirements} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	o.Version, o.Name = process.Version, filepath.Base(o.Output)
	if st, err := os.Stat(o.Output); err == nil && !st.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", o.Output)
	}
	for _, script := range p.Scripts() {
		if script, err = filepath.Abs(script); err != nil {
			return err
		}
		o.Scripts = append(o.Scripts, script)
	}
	app := p.Command.Script
	place, object := settings.SplitApp(app)
	switch {
	case p.File != nil && filepath.Base(p.Path) == "fapws.toml":
		o.Root = filepath.Dir(p.Path)
		if p.Conf.Chdir != "" || o.named {
			return nil
		}
		p.Settings.Anchor(p.Dir) // paths of flags and variables remain relative to the previous directory
		if p.Conf, err = p.Settings.Config(); err != nil {
			return err
		}
		return os.Chdir(o.Root)
	case p.Path != "":
		return fmt.Errorf("%s: a bundle starts with a file that is called fapws.toml", p.Path)
	case settings.IsFile(place):
		o.Root, _ = filepath.Abs(filepath.Dir(place))
		app = filepath.Base(place)
		if object != "" {
			app += ":" + object
		}
	default:
		o.Root = p.WorkDir()
	}
	file, err := os.CreateTemp("", "fapws-*.toml")
	if err != nil {
		return err
	}
	o.Start = file.Name()
	_, err = fmt.Fprintf(file, "app = %q\n", app)
	return errors.Join(err, file.Chmod(0o644), file.Close())
}

// write loads the applications of the plan and writes the bundle.
func (o *bundleOptions) write(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	if err := p.Find(); err != nil {
		return 0, err
	}
	err = o.complete(p)
	if o.Start != "" {
		defer os.Remove(o.Start)
	}
	if err != nil {
		return 0, process.ExitUsage(fmt.Errorf("bundle: %w", err))
	}
	target, err := o.chooseTarget()
	if err == nil && o.Requirements != "" {
		defer func() { os.RemoveAll(o.Packages) }()
		err = o.install(p, target)
	}
	if err != nil {
		return 0, process.ExitUsage(fmt.Errorf("bundle: %w", err))
	}
	os.Setenv("PYTHONNODEBUGRANGES", "1") // makes bytecode smaller by a fifth
	pack := func(app *pybridge.App) int {
		o.Written = p.Written(&app.Contents, worker.Uploads(&app.Contents)...)
		text, _ := json.Marshal(o) // cannot fail: these are strings and numbers
		return app.Tool("_bundle", string(text))
	}
	if len(o.visits) == 0 {
		return inspect(p, stdout, stderr, pack)
	}
	if p.FirstApp() == nil {
		return 0, noApplication(p)
	}
	return worker.Visit(p, o.visits, stderr, pack)
}

// openBundle opens the bundle that this process runs, or returns nil.
func openBundle() (*bundle.Bundle, error) {
	if !bundle.IsBundle() {
		return nil, nil
	}
	b, err := bundle.Open("/proc/self/exe", process.File())
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // without /proc, serve reports the error
		return nil, process.ExitNotStarted("%v", err)
	}
	return b, nil
}

// cacheVariable names the cache directory of the process that has started this one. Workers can run as a different user
// with a different default directory. After an upgrade (USR2), this user may not be able to write there.
const cacheVariable = "_FAPWS_CACHE_DIR"

// useBundle unpacks the bundle that this process runs, and makes Python use it. cache is the setting cache-dir. The
// result is the directory of the application.
func useBundle(b *bundle.Bundle, cache string) (folder string, err error) {
	caches := bundle.UsualCacheDirs()
	if cache != "" {
		if cache, err = filepath.Abs(cache); err != nil {
			return "", process.ExitNotStarted("%v", err)
		}
		caches = []string{cache}
	}
	if dir := os.Getenv(cacheVariable); dir != "" {
		caches = append([]string{dir}, caches...)
	}
	root, err := b.Unpack(caches...)
	if err != nil {
		return "", process.ExitNotStarted("%v", err)
	}
	os.Setenv(cacheVariable, filepath.Dir(root))
	offset, size := b.Modules()
	python := pybridge.Bundle{File: "/proc/self/exe", Offset: offset, Size: size, Folder: root}
	bundle.Link(python.Python(), process.Started())
	if python.Use() != nil {
		return "", process.ExitNotStarted("%s: its modules are damaged; copy it again", b.Name)
	}
	return filepath.Join(root, "app"), nil
}

// asPython returns the arguments of Python if a program that contains Python's standard library was started as an
// interpreter: with the name python3, or with the word python. cache is the cache directory if the program is a bundle.
func asPython(args []string) (cache string, python []string, wanted bool) {
	if name := os.Args[0]; filepath.Base(name) == "python3" {
		return filepath.Dir(filepath.Dir(filepath.Dir(name))), args, true
	}
	if len(args) > 0 && args[0] == "python" {
		return os.Getenv("FAPWS_CACHE_DIR"), args[1:], true
	}
	return "", nil, false
}

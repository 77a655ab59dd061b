package pybridge

// Contents is the result of loading, without the interpreter: another process may have loaded the applications and sent it as
// JSON. It does not change and is safe for concurrent use.
type Contents struct {
	Apps []Content // by the index of Options.Apps
}

// Content is the result of loading one application.
type Content struct {
	Settings map[string]Value // globals that Options.Globals names
	Table    []Mount          // its PATHS, in their order, or one mount with the prefix ""
	What     string           // see Contents.Served
	Class    string           // see Contents.Object
}

// Global returns the global name, one of Options.Globals, of application i: an
// index of Options.Apps, as for the methods below.
func (c *Contents) Global(i int, name string) (Value, bool) {
	v, ok := c.Apps[i].Settings[name]
	return v, ok
}

// Mounts returns the mounts of application i: its PATHS, in their order, or one with the prefix "". Their Index is for
// sites.Mount.Index.
func (c *Contents) Mounts(i int) []Mount { return c.Apps[i].Table }

// Served describes application i: "PATHS, 3 entries" or
// "WSGI app:application".
func (c *Contents) Served(i int) string { return c.Apps[i].What }

// Object returns the type of application i, "flask.app.Flask" or "module.function"; "" with PATHS.
func (c *Contents) Object(i int) string { return c.Apps[i].Class }

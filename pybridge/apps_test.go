package pybridge

import "testing"

// applications are what the tests load: the first is the one that most of them
// are about.
var applications = []Application{
	{Script: "testdata/app.py"},
	{Script: "testdata/second/app.py", Import: true},
	{Module: "wsgi_package.site", Folder: "testdata/third"},
	{Script: "testdata/../testdata/second/app.py", Import: true, Object: "another"},
	{Script: "./testdata/second/app.py", Import: true},
	{Script: "testdata/app.py", Object: "text"},
	{Script: "testdata/third/app.py", Import: true},
	{Script: "testdata/sockets.py", Import: true},
	{Script: "testdata/asgi.py", Import: true},
	{Script: "testdata/asgi.py", Import: true, Object: "app"},
}

// Where the asynchronous ones are in it.
const asyncPaths, asgiApp = 8, 9

func TestApplicationsHaveWhatIsTheirs(t *testing.T) {
	for i, want := range []struct {
		served, object, name, answer string
		mounts                       int
	}{
		1: {"PATHS, 1 entry", "", "app.second", "['app', 'beside the second', 'app.Environ', 'app.Start_response']", 1},
		2: {"WSGI wsgi_package.site:application", "wsgi_package.site.application", "wsgi_package.site:application", "wsgi_package.site dict", 1},
		3: {"WSGI app:another", "app.another", "app:another", "another of app", 1},
		5: {"WSGI app:text", "text", "app:text", "héllo", 1},
		6: {"WSGI app_script:application", "app_script.application", "app_script:application", "app_script", 1},
	} {
		if want.mounts == 0 {
			continue
		}
		mounts := loop.app.Mounts(i)
		if len(mounts) != want.mounts || loop.app.Served(i) != want.served || loop.app.Object(i) != want.object || mounts[0].Name != want.name {
			t.Errorf("application %d: %d mounts, %q, %q, %q", i, len(mounts), loop.app.Served(i), loop.app.Object(i), mounts[0].Name)
		}
		r := loop.ask(t, mounts[0].Index, "/second")
		if got := r.body.String(); got != want.answer {
			t.Errorf("application %d answers %q, not %q", i, got, want.answer)
		}
	}
}

func TestOneApplicationIsLoadedOnce(t *testing.T) {
	if a, b := loop.app.Mounts(1)[0], loop.app.Mounts(4)[0]; a.Index != b.Index || a.callable != b.callable {
		t.Errorf("the same script has mounts %d and %d", a.Index, b.Index)
	}
	if n := len(loop.app.mounts); n != len(loop.app.Mounts(0))+len(loop.app.Mounts(socketApp))+len(loop.app.Mounts(asyncPaths))+6 {
		t.Errorf("%d mounts in all", n)
	}
}

func TestGlobalsAreOfTheirApplication(t *testing.T) {
	if v, ok := loop.app.Global(1, "MAX_BODY_SIZE"); !ok || v.Int != 5 {
		t.Errorf("of the second: %v, %v", v, ok)
	}
	if v, ok := loop.app.Global(0, "MAX_BODY_SIZE"); ok {
		t.Errorf("of the first: %v", v)
	}
}

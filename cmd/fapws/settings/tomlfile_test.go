package settings

import (
	"fmt"
	"strings"
	"testing"
)

func flat(t *TOMLTable, path string) (list []string) {
	for _, v := range t.Entries {
		list = append(list, flatValue(v, path+v.Key)...)
	}
	return list
}

func flatValue(v TOMLValue, path string) []string {
	list := []string{fmt.Sprintf("%s@%d", path, v.Line)}
	switch x := v.Any.(type) {
	case *TOMLTable:
		return append(list, flat(x, path+".")...)
	case []TOMLValue:
		for i, one := range x {
			list = append(list, flatValue(one, fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	return list
}

func TestTOMLValuesHaveLineNumbers(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a = 1\nb = 2", "a@1 b@2"},
		{"\ufeff# x\n\na = 'b # c' # d\r\n  \"q\\u0041\" = \"\"\"1\n2\n3\"\"\"\nc = 1", "a@3 qA@4 c@7"},
		{"a = [\n 1, # x ] \n\n 2,\n]\nb = '''\n]'''\nc = 0", "a@1 a[0]@2 a[1]@4 b@6 c@8"},
		{"z = { y = 1, x = 2 }", "z@1 z.y@1 z.x@1"},
		{"a = { b = 1, c.d = '}' }\n'e.f' = 1", "a@1 a.b@1 a.c@1 a.c.d@1 e.f@2"},
		{"[[h]]\nn = 1\n[[h.r]]\np = 1\n[[h.r]]\np = 2\n[h.x]\ny = 1\n[[h]]\n[[h.r]]\n\np = 3\n[t]\nz = 1",
			"h@1 h[0]@1 h[0].n@2 h[0].r@3 h[0].r[0]@3 h[0].r[0].p@4 h[0].r[1]@5 h[0].r[1].p@6 h[0].x@7 h[0].x.y@8 " +
				"h[1]@9 h[1].r@10 h[1].r[0]@10 h[1].r[0].p@12 t@13 t.z@14"},
		{"a = \"\"\"x\\\n  \"\"\"\nb = \"\"\"\"q\"\"\"\"\"\nc = 1", "a@1 b@3 c@4"},
		{"a = [" + strings.Repeat("[1], ", 50) + "]", "a@1" + nested(50)},
		{"a = \"" + strings.Repeat("[", 50) + "\" # " + strings.Repeat("{", 50) + "\nb = \"\"\"\n" +
			strings.Repeat("[", 50) + "\"\"\"", "a@1 b@2"},
		{"d = 2020-01-01T00:00:00Z # x\na.b.c = 1", "d@1 a@2 a.b@2 a.b.c@2"},
	} {
		f, err := ParseTOML("f", "/", []byte(tt.text))
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if got := strings.Join(flat(f.Top, ""), " "); got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

func nested(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf(" a[%d]@1 a[%d][0]@1", i, i)
	}
	return s
}

func TestTOMLSyntaxErrorsAreReportedWithPosition(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a = 1\nb = = 2", "2:5: there is one = too many"},
		{"a = 1\na = 2", "2:1: a is set above; remove one of the lines"},
		{"[host]\n[host]", "2:2: host is set above; remove one, or write [[host]] for each of several tables"},
		{"app = 'a.py'\n[app]", "2:2: app is set above; remove one, or write [[app]] for each of several tables"},
		{"[[host.route]]\n[[host]]", "2:3: host is set above in another form; write [[host]] for each table, and tables " +
			"inside it, such as [[host.route]], below it"},
		{"app = 'a.py'\napp.b = 1", "2:1: app.b is set above, or app is set above and is not a table; remove one of " +
			"the lines"},
		{"[host\n", "1:6: a table is written [name] or [[name]], alone on its line"},
		{"[host] a = 1", "1:8: a table is written [name] or [[name]], alone on its line"},
		{"a = 1\n\nb = \"x\n\nc = 1", "3:5: the quote at the end of this text is missing"},
		{"é = 'é\nb = 1", "1:1: a key needs quotes if it has other characters than A-Z, a-z, 0-9, - and _"},
		{"a = { b c = 1 }", "1:9: a key needs quotes if it has other characters than A-Z, a-z, 0-9, - and _"},
		{"a\u00a0= 1", "1:2: an invisible character is not allowed here; type this line again"},
		{"\u200ba = 1", "1:1: an invisible character is not allowed here; type this line again"},
		{"a = 1\n'é' = \"\"\"x\n", "2:7: the quote at the end of this text is missing"},
		{"a = \"\xff\"", "1:5: this is not UTF-8; save the file in UTF-8"},
		{"a = \"b\x01c\"", "1:7: a control character is not allowed here; remove it"},
		{"a = \"C:\\Users\"", "1:8: a backslash between double quotes begins an escape; write two, or use " +
			"single quotes"},
		{"a = \"C:\\dir\"", "1:8: a backslash between double quotes begins an escape; write two, or use single quotes"},
		{"a = True", "1:5: true and false are written in lower case"},
		{"a = on # x", `1:5: text needs quotes: a = "on"; a switch is true or false`},
		{"a = 30s", `1:7: text needs quotes: a = "30s"`},
		{"a = /srv/x # y", `1:5: text needs quotes: a = "/srv/x"`},
		{"a = 'é' b", "1:9: only a comment may follow a value; text with one kind of quotes stands between those of " +
			"the other kind"},
		{"a = 4;", "1:6: a line has no ; or , at its end"},
		{"a = 1 b = 2", "1:7: each key begins on a line of its own"},
		{"a = “x”", `1:5: TOML has other quotes: "text"`},
		{"a = 1\nkey\n", "2:4: key has no value; write key = 4, or key = \"text\""},
		{"a =", "1:4: a has no value; write a = 4, or a = \"text\""},
		{"a 4", "1:3: the = is missing; write a = 4"},
		{"; x", "1:1: a comment begins with #"},
		{"a: 1", "1:2: write key = value"},
		{"a = [\n x,\n]", "2:2: text needs quotes, in an array too"},
		{"a = [1, 2\nb = 3", "2:1: a comma is missing before this value, or the ] at the end of the array"},
		{"\t a = [\n1,\n2\n\n", "1:7: the ] at the end of this array is missing"},
		{"a = { b = 1\n", "1:5: the } at the end of this table is missing"},
	} {
		_, err := ParseTOML("f.toml", "/", []byte(tt.text))
		if err == nil || err.Error() != "f.toml:"+tt.want {
			t.Errorf("%q: %v, want f.toml:%s", tt.text, err, tt.want)
		}
	}
}

// FuzzParse checks that every key in a valid file has a line number. For an invalid file, it checks that the error is
// one line with the position of the mistake.
func FuzzParse(f *testing.F) {
	f.Add("a = 1\n[[h]]\nn = ['x', \"y\"]\n[h.t]\nq = { a.b = 1 }\n")
	f.Add("a = \"\"\"\n\"\"\"\"\n'b' = '''x'''''\n\"\\u0041\" = [[1], [{x = 1}]]")
	f.Add("a = 1979-05-27 07:32:00\nb = [1, # ]\n]")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ParseTOML("f", "/", []byte(text))
		if err != nil {
			var line, col int
			if n, _ := fmt.Sscanf(err.Error(), "f:%d:%d: ", &line, &col); n != 2 ||
				strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("%q: %q", text, err)
			}
			return
		}
		lines := strings.Count(text, "\n") + 1
		last := 0
		for _, v := range file.Top.Entries {
			if v.Line < max(last, 1) || v.Line > lines {
				t.Fatalf("%q: %s on line %d of %d", text, v.Key, v.Line, lines)
			}
			last = v.Line
		}
	})
}

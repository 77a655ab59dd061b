package settings

import (
	"fmt"
	"strings"
	"testing"

	"fapws/runtime/checktest"
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
		checktest.Equalf(t, strings.Join(flat(f.Top, ""), " "), tt.want, "%q", tt.text)
	}
}

func nested(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf(" a[%d]@1 a[%d][0]@1", i, i)
	}
	return s
}

func TestTOMLSyntaxErrorsAreReportedWithPosition(t *testing.T) {
	for text, want := range cases(t, "syntax-errors.txt") {
		_, err := ParseTOML("f.toml", "/", []byte(text))
		checktest.Truef(t, err != nil && err.Error() == "f.toml:"+want, "%q: %v, want f.toml:%s", text, err, want)
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
			n, _ := fmt.Sscanf(err.Error(), "f:%d:%d: ", &line, &col)
			checktest.Needf(t, n == 2 && !strings.ContainsAny(err.Error(), "\r\n"), "%q: %q", text, err)
			return
		}
		lines := strings.Count(text, "\n") + 1
		last := 0
		for _, v := range file.Top.Entries {
			checktest.Needf(t, v.Line >= max(last, 1) && v.Line <= lines, "%q: %s on line %d of %d", text, v.Key, v.Line, lines)
			last = v.Line
		}
	})
}

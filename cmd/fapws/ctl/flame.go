package ctl

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// StatusStack is a stack of Python functions with the number of times that a profile has seen it.
type StatusStack struct {
	Frames []string `json:"frames"` // the outermost first
	N      int      `json:"n"`
}

const (
	mostNodes = 120  // of a flame graph: the page remains small
	mostDepth = 40   // of its stacks
	leastPart = 0.01 // of all samples, for a node
	mostLeafs = 10   // functions in the list
)

// node is a function that all stacks through it share from the outermost one on.
type node struct {
	name     string
	n        int
	children []*node
}

// flame returns the flame graph of a profile as HTML: each function is as wide as its share of the samples, and those that it has
// called are below it.
func flame(stacks []StatusStack) string {
	root, leafs := &node{name: "all"}, map[string]int{}
	nodes := []*node{}
	for _, s := range stacks {
		root.n += s.N
		at := root
		for _, name := range s.Frames[:min(len(s.Frames), mostDepth)] {
			i := slices.IndexFunc(at.children, func(c *node) bool { return c.name == name })
			if i < 0 {
				i = len(at.children)
				at.children = append(at.children, &node{name: name})
				nodes = append(nodes, at.children[i])
			}
			at = at.children[i]
			at.n += s.N
		}
		if len(s.Frames) > 0 {
			leafs[s.Frames[len(s.Frames)-1]] += s.N
		}
	}
	if root.n == 0 {
		return "<p>No Python code has run.</p>"
	}
	slices.SortStableFunc(nodes, func(x, y *node) int { return cmp.Compare(y.n, x.n) }) // callers before the functions that they call
	least := max(1, int(leastPart*float64(root.n)))
	if len(nodes) > mostNodes {
		least = max(least, nodes[mostNodes].n+1)
	}
	var b strings.Builder
	b.WriteString(`<div class="wide"><div class="flame">`)
	root.write(&b, root.n, least)
	b.WriteString(`</div></div><table><tr><th>share<th class="l">function that ran or waited</tr>`)
	names := make([]string, 0, len(leafs))
	for name := range leafs {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(cmp.Compare(leafs[y], leafs[x]), strings.Compare(x, y)) })
	for _, name := range names[:min(len(names), mostLeafs)] {
		fmt.Fprintf(&b, `<tr><td>%.1f %%<td class="l">%s</tr>`, 100*float64(leafs[name])/float64(root.n), clip(name, 100))
	}
	b.WriteString("</table>")
	return b.String()
}

// write writes x and its children with at least so many of all samples.
func (x *node) write(b *strings.Builder, all, least int) {
	name, _, _ := strings.Cut(x.name, " (")
	fmt.Fprintf(b, `<b title="%s, %.1f %%">%s</b>`, clip(x.name, 100), 100*float64(x.n)/float64(all), clip(name, 30))
	open := false
	for _, c := range x.children {
		if c.n < least {
			continue
		}
		if !open {
			b.WriteString("<div>")
			open = true
		}
		fmt.Fprintf(b, `<div style="width:%.1f%%">`, 100*float64(c.n)/float64(x.n))
		c.write(b, all, least)
		b.WriteString("</div>")
	}
	if open {
		b.WriteString("</div>")
	}
}

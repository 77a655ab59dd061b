package results

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// plot is a chart of horizontal bars in groups, each of which has its own scale from 0.
type plot struct {
	title  string
	note   string
	groups []group
}

type group struct {
	title string
	bars  []barOf
}

type barOf struct {
	name  string
	value float64
	low   float64 // the lowest and the highest measurement
	high  float64
	text  string
	own   bool
}

// Sizes of a plot, in pixels at its natural width.
const (
	plotWidth  = 760
	nameWidth  = 150
	valueWidth = 100
	margin     = 16
	rowHeight  = 24
	barHeight  = 16
	groupSpace = 34 // height of a group's title
)

// plotStyle contains the colors of both themes. The plot has its own background, because the theme of a page may differ
// from the theme of the system. The contrast with the background is at least 3:1 for bars and 4.5:1 for text (WCAG
// 2.2).
const plotStyle = `<style>
text{font:14px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}.note{fill:#59636e}
.group{font-weight:600}
.paper{fill:#fff}.own{fill:#0b7a4b}.other{fill:#7d8590}.spread{fill:none;stroke:#1f2328;stroke-width:1.5}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}.note{fill:#9198a1}.paper{fill:#0d1117}.own{fill:#3fb97e}.other{fill:#79828c}
.spread{stroke:#e6edf3}}
</style>
`

func (p *plot) svg() []byte {
	var body bytes.Buffer
	y := margin + 16
	textAt(&body, "title", margin, y, p.title)
	y += 22
	textAt(&body, "note", margin, y, p.note)
	y += 12
	for _, g := range p.groups {
		if g.title != "" {
			y += groupSpace
			textAt(&body, "group", margin, y-10, g.title)
		}
		y = g.draw(&body, y)
	}
	y += margin
	var out bytes.Buffer
	fmt.Fprintf(&out,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" `+
			`aria-labelledby="title">`+"\n", plotWidth, y)
	fmt.Fprintf(&out, "<title id=\"title\">%s, %s</title>\n%s", escape(p.title), escape(p.note), plotStyle)
	fmt.Fprintf(&out, "<rect class=\"paper\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n", plotWidth, y)
	out.Write(body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

func (g *group) draw(buffer *bytes.Buffer, y int) int {
	longest := 0.0
	for _, b := range g.bars {
		longest = max(longest, b.high)
	}
	const left, room = margin + nameWidth, plotWidth - 2*margin - nameWidth - valueWidth
	for _, b := range g.bars {
		class, width, low, high := "other", 1.0, 0.0, 1.0
		if b.own {
			class = "own"
		}
		if longest > 0 {
			width = max(1, room*b.value/longest) // Make each bar wide enough to be visible as a line.
			low, high = room*b.low/longest, max(1, room*b.high/longest)
		}
		base := y + rowHeight/2 + 5
		fmt.Fprintf(buffer, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, base, escape(b.name))
		fmt.Fprintf(buffer, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, left,
			y+(rowHeight-barHeight)/2, width, barHeight)
		fmt.Fprintf(buffer, `<path class="spread" d="M%.1f %dv8m0-4H%.1fm0-4v8"/>`, left+low, y+rowHeight/2-4, left+high)
		fmt.Fprintf(buffer, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", left+high+6, base, escape(b.text))
		y += rowHeight
	}
	return y
}

func textAt(buffer *bytes.Buffer, class string, x, y int, text string) {
	fmt.Fprintf(buffer, "<text class=\"%s\" x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, escape(text))
}

func escape(text string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(text)) // a bytes.Buffer never returns an error
	return out.String()
}

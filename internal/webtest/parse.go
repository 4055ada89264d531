package webtest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type transcript struct {
	exchanges []*exchange
}

// pos is a place in a transcript, as compilers write it.
type pos struct {
	file string
	line int
}

func (p pos) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

func (p pos) errorf(format string, args ...any) error {
	return fmt.Errorf("%v: "+format, append([]any{p}, args...)...)
}

type exchange struct {
	pos      pos
	method   string
	target   template
	headers  []headerLine
	body     []bodyLine
	want     answer
	refs     []ref    // variables used, in order
	captures []string // variables that the answer defines
}

type answer struct {
	pos     pos
	status  int
	headers []headerLine
	mode    bodyMode
	bodyPos pos
	body    []bodyLine
}

type headerLine struct {
	pos    pos
	name   string
	value  template
	absent bool
}

type bodyLine struct {
	pos  pos
	text template
}

type ref struct {
	pos  pos
	name string
}

type bodyMode byte

const (
	bodyMatch    bodyMode = ' ' // "< ": JSON or text with placeholders; no lines: empty
	bodyExact    bodyMode = '='
	bodyContains bodyMode = '~'
	bodyAny      bodyMode = '*'
)

// section is the part of an exchange that the next line belongs to.
type section int

const (
	atStart section = iota // between exchanges
	inRequestHeaders
	inRequestBody
	afterRequest // a blank line or comment ended the request
	inAnswerHeaders
	inAnswerBody
)

type parser struct {
	tr  *transcript
	ex  *exchange
	in  section
	pos pos
}

func parse(file, data string) (*transcript, error) {
	p := &parser{tr: &transcript{}, pos: pos{file: file}}
	for line := range strings.SplitSeq(data, "\n") {
		p.pos.line++
		if err := p.line(line); err != nil {
			return nil, err
		}
	}
	if p.in == inRequestHeaders || p.in == inRequestBody || p.in == afterRequest {
		return nil, p.ex.pos.errorf("request without an answer")
	}
	if len(p.tr.exchanges) == 0 {
		return nil, fmt.Errorf("%s: no exchanges", file)
	}
	return p.tr, nil
}

func (p *parser) line(line string) error {
	switch {
	case strings.Contains(line, "\r"):
		return p.pos.errorf("carriage return; to send one, write {{hex:0d}}")
	case strings.HasPrefix(line, "#"), strings.TrimSpace(line) == "":
		p.pause()
		return nil
	case line[0] == '>':
		return p.requestLine(line[1:])
	case line[0] == '<':
		return p.answerLine(line[1:])
	}
	return p.pos.errorf("line starts with none of # > <")
}

// pause ends the request or the answer, so that a forgotten mark is noticed.
func (p *parser) pause() {
	switch p.in {
	case inRequestHeaders, inRequestBody:
		p.in = afterRequest
	case inAnswerHeaders, inAnswerBody:
		p.in = atStart
	}
}

func (p *parser) requestLine(rest string) error {
	text, ok := unmark(rest)
	if !ok {
		return p.pos.errorf("no space after >")
	}
	switch p.in {
	case atStart, inAnswerHeaders, inAnswerBody:
		return p.startRequest(text)
	case afterRequest:
		return p.pos.errorf("request without an answer before this line; is a > missing on the blank line?")
	case inRequestHeaders:
		if text == "" {
			p.in = inRequestBody
			return nil
		}
		h, err := p.header(text)
		p.ex.headers = append(p.ex.headers, h)
		return err
	}
	t, err := p.template(text)
	p.ex.body = append(p.ex.body, bodyLine{p.pos, t})
	return err
}

func (p *parser) startRequest(text string) error {
	method, target, _ := strings.Cut(text, " ")
	if !token.MatchString(method) || target == "" {
		return p.pos.errorf("want method and target, got %q", text)
	}
	p.ex = &exchange{pos: p.pos, method: method}
	p.in = inRequestHeaders
	var err error
	p.ex.target, err = p.template(target)
	return err
}

func (p *parser) answerLine(rest string) error {
	switch p.in {
	case atStart:
		return p.pos.errorf("answer without a request; is a < missing on the blank line before?")
	case inAnswerHeaders, inAnswerBody:
	default:
		return p.startAnswer(rest)
	}
	if rest != "" && strings.ContainsRune("=~*", rune(rest[0])) {
		return p.markedBody(bodyMode(rest[0]), rest[1:])
	}
	text, ok := unmark(rest)
	switch {
	case !ok:
		return p.pos.errorf("after < comes a space, =, ~ or *")
	case p.in == inAnswerHeaders && text == "":
		p.in, p.ex.want.bodyPos = inAnswerBody, p.pos
		return nil
	case p.in == inAnswerHeaders:
		return p.answerHeader(text)
	}
	return p.answerBody(bodyMatch, text)
}

func (p *parser) startAnswer(rest string) error {
	text, ok := unmark(rest)
	status, err := strconv.Atoi(text)
	if !ok || err != nil || status < 200 || status > 999 || len(text) != 3 {
		return p.pos.errorf("want a final status, got %q", text)
	}
	p.ex.want = answer{pos: p.pos, bodyPos: p.pos, status: status, mode: bodyMatch}
	p.in = inAnswerHeaders
	p.tr.exchanges = append(p.tr.exchanges, p.ex)
	return nil
}

func (p *parser) answerHeader(text string) error {
	w := &p.ex.want
	if name, ok := strings.CutPrefix(text, "!"); ok {
		if !token.MatchString(name) {
			return p.pos.errorf("want !Header-Name, got %q", text)
		}
		w.headers = append(w.headers, headerLine{pos: p.pos, name: name, absent: true})
		return nil
	}
	h, err := p.header(text)
	if err != nil {
		return err
	}
	w.headers = append(w.headers, h)
	return p.placeholders(h.value)
}

func (p *parser) markedBody(mode bodyMode, rest string) error {
	text, ok := unmark(rest)
	switch {
	case !ok || mode == bodyAny && text != "":
		return p.pos.errorf("want a space or nothing after <%c", mode)
	case mode == bodyContains && text == "":
		return p.pos.errorf("<~ without a text is in every body")
	}
	return p.answerBody(mode, text)
}

func (p *parser) answerBody(mode bodyMode, text string) error {
	w := &p.ex.want
	if len(w.body) > 0 && (w.mode != mode || mode == bodyAny) {
		return p.pos.errorf("<%c after <%c: a body is expected in one way", mode, w.mode)
	}
	t, err := p.template(text)
	if err != nil {
		return err
	}
	if len(w.body) == 0 {
		w.bodyPos = p.pos
	}
	p.in, w.mode = inAnswerBody, mode
	w.body = append(w.body, bodyLine{p.pos, t})
	if mode == bodyMatch {
		return p.placeholders(t)
	}
	return nil
}

var token = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func (p *parser) header(text string) (headerLine, error) {
	name, value, ok := strings.Cut(text, ":")
	if !ok || !token.MatchString(name) {
		return headerLine{}, p.pos.errorf("want Name: value, got %q", text)
	}
	t, err := p.template(strings.TrimSpace(value))
	return headerLine{pos: p.pos, name: name, value: t}, err
}

// template parses the text and notes the variables that the exchange uses.
func (p *parser) template(text string) (template, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return nil, p.pos.errorf("%w", err)
	}
	for _, name := range t.names() {
		p.ex.refs = append(p.ex.refs, ref{p.pos, name})
	}
	return t, nil
}

// placeholders refuses unknown types and notes what the answer captures.
func (p *parser) placeholders(t template) error {
	for _, part := range t {
		if part.fn != literal {
			continue
		}
		pat, err := parsePattern(escapeMarked(part.text))
		if err != nil {
			return p.pos.errorf("%w", err)
		}
		for _, ph := range pat {
			if ph.capture != "" && !slices.Contains(p.ex.captures, ph.capture) {
				p.ex.captures = append(p.ex.captures, ph.capture)
			}
		}
	}
	return nil
}

// unmark takes off the space that separates a mark from its text. A bare mark is an empty text.
func unmark(s string) (text string, ok bool) {
	if s == "" {
		return "", true
	}
	return strings.CutPrefix(s, " ")
}

var errUnclosed = errors.New("{{ without }}; a plain {{ is {{hex:7b7b}}")

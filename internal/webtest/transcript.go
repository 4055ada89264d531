package webtest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// exchange is a request and the answer that it has to get, as they are written.
type exchange struct {
	place          string // file and line, as compilers write it
	method, target string
	headers        []header
	body           []string // lines
	want           answer
}

type header struct{ name, value string }

type answer struct {
	status  int
	headers []header // a ! before the name: it is absent
	mode    bodyMode
	body    []string
}

// bodyMode is the mark behind the < of a body's lines.
type bodyMode string

const (
	bodyMatch    bodyMode = "" // JSON or text with placeholders; no lines: empty
	bodyExact    bodyMode = "="
	bodyContains bodyMode = "~"
	bodyAny      bodyMode = "*"
)

func parse(file, data string) (exchanges []*exchange, _ error) {
	if strings.Contains(data, "\r") {
		return nil, fmt.Errorf("%s: carriage return; to send one, write {{hex:0d}}", file)
	}
	lines := strings.Split(data, "\n")
	for at := 0; at < len(lines); {
		if strings.HasPrefix(lines[at], "#") || strings.TrimSpace(lines[at]) == "" {
			at++
			continue
		}
		ex := &exchange{place: fmt.Sprintf("%s:%d", file, at+1)}
		request := behind(">", lines[at:])
		answer := behind("<", lines[at+len(request):])
		err := ex.read(request)
		if err == nil {
			err = ex.want.read(answer)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ex.place, err)
		}
		exchanges = append(exchanges, ex)
		at += len(request) + len(answer)
	}
	if len(exchanges) == 0 {
		return nil, fmt.Errorf("%s: no exchanges", file)
	}
	return exchanges, nil
}

// behind gives what stands behind a mark, as far as the lines have it.
func behind(mark string, lines []string) (texts []string) {
	for _, line := range lines {
		text, ok := strings.CutPrefix(line, mark)
		if !ok {
			break
		}
		texts = append(texts, text)
	}
	return texts
}

func (ex *exchange) read(lines []string) (err error) {
	if len(lines) == 0 {
		return errors.New("no request: is a mark missing on a blank line, or at the start of this one?")
	}
	first, err := unmark(lines[0])
	if err != nil {
		return err
	}
	ex.method, ex.target, _ = strings.Cut(first, " ")
	if !token.MatchString(ex.method) || ex.target == "" {
		return fmt.Errorf("want method and target, got %q", first)
	}
	if ex.headers, lines, err = readHeaders(lines[1:]); err != nil {
		return err
	}
	for _, line := range lines {
		text, err := unmark(line)
		if err != nil {
			return err
		}
		ex.body = append(ex.body, text)
	}
	return nil
}

func (w *answer) read(lines []string) (err error) {
	if len(lines) == 0 {
		return errors.New("no answer: is a mark missing on a blank line?")
	}
	w.status, err = strconv.Atoi(strings.TrimPrefix(lines[0], " "))
	if err != nil || w.status < 200 || w.status > 999 || lines[0][0] != ' ' {
		return fmt.Errorf("want a final status behind < and a space, got %q", lines[0])
	}
	if w.headers, lines, err = readHeaders(lines[1:]); err != nil {
		return err
	}
	for i, line := range lines {
		mode := bodyMatch
		if marked(line) {
			mode, line = bodyMode(line[:1]), line[1:]
		}
		text, err := unmark(line)
		switch {
		case err != nil:
			return err
		case i > 0 && (mode != w.mode || mode == bodyAny):
			return fmt.Errorf("<%s after <%s: a body is expected in one way", mode, w.mode)
		case mode == bodyAny && text != "":
			return errors.New("a text behind <*")
		case mode == bodyContains && text == "":
			return errors.New("<~ without a text is in every body")
		}
		w.mode, w.body = mode, append(w.body, text)
	}
	return nil
}

var token = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// readHeaders reads headers as far as a bare mark, or a line that has the mark of a body, and gives the body.
func readHeaders(lines []string) (headers []header, body []string, err error) {
	for i, line := range lines {
		if line == "" {
			return headers, lines[i+1:], nil
		}
		if marked(line) {
			return headers, lines[i:], nil
		}
		text, err := unmark(line)
		if err != nil {
			return nil, nil, err
		}
		name, value, ok := strings.Cut(text, ":")
		if absent := strings.HasPrefix(text, "!"); absent == ok || !token.MatchString(name) || name == "!" {
			return nil, nil, fmt.Errorf("want Name: value or !Name, got %q", text)
		}
		headers = append(headers, header{name, strings.TrimSpace(value)})
	}
	return headers, nil, nil
}

func marked(line string) bool { return line != "" && strings.Contains("=~*", line[:1]) }

// unmark takes off the space that separates a mark from its text. A bare mark is an empty text.
func unmark(line string) (string, error) {
	text, ok := strings.CutPrefix(line, " ")
	if !ok && line != "" {
		return "", fmt.Errorf("a space is missing before %q", line)
	}
	return text, nil
}

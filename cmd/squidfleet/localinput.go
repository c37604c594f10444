package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Keys that change the line. A terminal's own editing is off.
const (
	backspace = 0x7f
	controlH  = 0x08
	controlU  = 0x15
	escape    = 0x1b
)

// readLines sends the line being typed after each key, with its end when it is complete, until
// input or ctx ends.
func readLines(ctx context.Context, input io.Reader, lines chan<- string) {
	reader := bufio.NewReader(input)
	var line []rune
	for {
		r, _, err := reader.ReadRune()
		if err != nil {
			return
		}
		end := ""
		switch {
		case r == '\n' || r == '\r':
			end = "\n"
		case r == backspace || r == controlH:
			line = line[:max(len(line)-1, 0)]
		case r == controlU:
			line = nil
		case r == escape:
			skipSequence(reader)
		case unicode.IsPrint(r):
			line = append(line, r)
		}
		select {
		case lines <- string(line) + end:
		case <-ctx.Done():
			return
		}
		if end != "" {
			line = nil
		}
	}
}

// skipSequence skips what an arrow or function key sends after the escape.
func skipSequence(reader *bufio.Reader) {
	if reader.Buffered() == 0 {
		return // It is the escape key.
	}
	if r, _, err := reader.ReadRune(); err != nil || r != '[' && r != 'O' {
		return
	}
	for {
		if r, _, err := reader.ReadRune(); err != nil || r >= '@' && r <= '~' {
			return
		}
	}
}

// parseCommand reads a typed line: a verb and the numbers of addresses, or all. An empty line is
// no command.
func parseCommand(line string, addresses int) (verb string, numbers []int, err error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", nil, nil
	}
	verb, words = words[0], words[1:]
	if !slices.Contains([]string{"rotate", "stop", "start"}, verb) {
		return "", nil, fmt.Errorf("%q is no command: type rotate, stop or start, and numbers of addresses", verb)
	}
	if len(words) == 0 && verb == "rotate" || len(words) == 1 && words[0] == "all" {
		for number := range addresses {
			numbers = append(numbers, number+1)
		}
		return verb, numbers, nil
	}
	if len(words) == 0 {
		return "", nil, fmt.Errorf("%s needs numbers of addresses, or all", verb)
	}
	for _, word := range words {
		number, err := strconv.Atoi(word)
		if err != nil || number < 1 || number > addresses {
			return "", nil, fmt.Errorf("%s %s: the addresses have the numbers 1 to %d", verb, word, addresses)
		}
		numbers = append(numbers, number)
	}
	return verb, numbers, nil
}

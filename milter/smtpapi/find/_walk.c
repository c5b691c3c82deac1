/* The walk over an HTML part, in C: it collects anchors up to the next tag that Python must handle.

Not a second authority. It skips tags by the tokenizer's rules (WHATWG HTML 13.2.5) and makes anchors as
`smtpapi.find.anchors` does. Whatever is rare is left to Python: svg, math and scripts, comments that may be
conditional, names of links that are not ASCII, and long values with character references
(`smtpapi.find.html_syntax.entities` decodes those in short values). Where this was not built, the expressions of
`smtpapi.find.html_syntax.markup` do the same; tests/unit/test_native_walk.py compares the two.

Invariants: nothing is read past the end of the bytes given; nothing is stored between two calls. Each pointer
only goes forward, with two exceptions: a tag that Python must handle is read once more, by Python, and the text
after an anchor (VISIBLE bytes) is read as markup too. So the time is linear. One call reads MOST_TAGS tags or
MOST_BYTES bytes, and the rest of the token they end in, so that its caller can check the time. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

typedef unsigned char Byte;

/* They bound the work between two checks of the time. MOST_DECODED is deadline.CHECK_BYTES. */
enum { MOST_TAGS = 2048, MOST_BYTES = 1 << 16, MOST_DECODED = 4096 }; /* in one call */
/* Only hostile tags have more; Python reads those. The numbers are guesses. */
enum { MOST_ATTRIBUTES = 1000, MOST_MARKS = 16 };                      /* in one tag */
enum { VISIBLE = 1024 };                       /* as link_text._VISIBLE */
enum { NAME_BYTES = 63, SUBLINK_BYTES = 64 };  /* as in anchors */

/* --- bytes --- */

enum { WHITE = 1, SLASH = 2, CLOSE = 4, EQUALS = 8, LETTER = 16, DIGIT = 32, MARK = 64 }; /* MARK: "._-" */
enum { AFTER_NAME = WHITE | SLASH | CLOSE };

static Byte class_of[256];

static void prepare_classes(void)
{
    for (const char *white = " \t\n\f\r"; *white; white++)
        class_of[(Byte)*white] = WHITE;
    for (int letter = 'a'; letter <= 'z'; letter++)
        class_of[letter] = class_of[letter - 32] = LETTER;
    for (int sign = '0'; sign <= '9'; sign++)
        class_of[sign] = DIGIT;
    for (const char *mark = "._-"; *mark; mark++)
        class_of[(Byte)*mark] = MARK;
    class_of['/'] = SLASH;
    class_of['>'] = CLOSE;
    class_of['='] = EQUALS;
}

/* Bytes of the document; start is NULL where there are none. */
typedef struct {
    const Byte *start, *stop;
} Span;

static Py_ssize_t size_of(Span span) { return span.stop - span.start; }

/* Returns whether size bytes are the word, whatever the case of their letters. word: in lower case. */
static int is_word(const Byte *at, const char *word, Py_ssize_t size)
{
    for (Py_ssize_t place = 0; place < size; place++) {
        int sign = class_of[at[place]] == LETTER ? at[place] | 32 : at[place];
        if (sign != word[place])
            return 0;
    }
    return 1;
}

static Span trimmed(Span span)
{
    while (span.start < span.stop && class_of[*span.start] == WHITE)
        span.start++;
    while (span.start < span.stop && class_of[span.stop[-1]] == WHITE)
        span.stop--;
    return span;
}

static const Byte *find(const Byte *at, const Byte *end, int sign)
{
    const Byte *found = at < end ? memchr(at, sign, (size_t)(end - at)) : NULL;
    return found == NULL ? end : found;
}

/* Returns the place after the next ">"; NULL without one. */
static const Byte *after_close(const Byte *at, const Byte *end)
{
    at = find(at, end, '>');
    return at == end ? NULL : at + 1;
}

/* --- attributes (13.2.5.32 to 40) --- */

/* value.start: NULL without a value. quote: '"', '\'' or 0. stop: after the whole attribute. */
typedef struct {
    Span name, value;
    Byte quote;
    const Byte *stop;
} Attribute;

/* What follows in a tag. */
enum { CLOSED, UNCLOSED, ATTRIBUTE, TOO_LONG };

/* Reads the next attribute, or the tag's ">", and moves *from to the place after it. */
static inline int next_attribute(const Byte **from, const Byte *end, Attribute *found)
{
    const Byte *at = *from;
    while (at < end && class_of[*at] & (WHITE | SLASH))
        at++;
    if (at == end)
        return UNCLOSED;
    if (*at == '>') {
        *from = at + 1;
        return CLOSED;
    }
    found->name.start = at++; /* "=" may begin a name */
    while (at < end && !(class_of[*at] & (AFTER_NAME | EQUALS)))
        at++;
    found->name.stop = found->stop = at;
    found->value.start = found->value.stop = NULL;
    found->quote = 0;
    while (at < end && class_of[*at] == WHITE)
        at++;
    if (at == end)
        return UNCLOSED;
    if (*at != '=') {
        *from = at;
        return ATTRIBUTE;
    }
    for (at++; at < end && class_of[*at] == WHITE;)
        at++;
    if (at == end)
        return UNCLOSED;
    if (*at == '"' || *at == '\'') {
        found->quote = *at++;
        found->value.start = at;
        found->value.stop = at = find(at, end, found->quote);
        if (at == end)
            return UNCLOSED;
        at++;
    } else if (*at != '>') {
        found->value.start = at;
        while (at < end && !(class_of[*at] & (WHITE | CLOSE)))
            at++;
        if (at == end)
            return UNCLOSED;
        found->value.stop = at;
    }
    *from = found->stop = at;
    return ATTRIBUTE;
}

/* Moves *at from the end of a tag's name to the place after its ">". */
static int skip_attributes(const Byte **at, const Byte *end)
{
    Attribute ignored;
    for (int left = MOST_ATTRIBUTES; left; left--) {
        int how = next_attribute(at, end, &ignored);
        if (how != ATTRIBUTE)
            return how;
    }
    return TOO_LONG;
}

/* --- comments and raw text --- */

/* Returns the place after the comment whose "<!--" ends at `at` (13.2.5.43 to 52); NULL if it does not end. */
static const Byte *comment_end(const Byte *at, const Byte *end)
{
    if (at < end && *at == '>')
        return at + 1;
    if (end - at >= 2 && at[0] == '-' && at[1] == '>')
        return at + 2;
    while (end - (at = find(at, end, '-')) >= 3) {
        if (at[1] == '-' && at[2] == '>')
            return at + 3;
        if (at[1] == '-' && at[2] == '!' && end - at >= 4 && at[3] == '>')
            return at + 4;
        at++;
    }
    return NULL;
}

/* Returns where the end tag of that name begins; NULL without one. at: where the element's content begins. */
static const Byte *raw_text_end(const Byte *at, const Byte *end, const char *name, Py_ssize_t size)
{
    for (; end - (at = find(at, end, '<')) > size + 2; at++)
        if (at[1] == '/' && is_word(at + 2, name, size) && class_of[at[2 + size]] & AFTER_NAME)
            return at;
    return NULL;
}

/* --- elements --- */

typedef enum { OTHER, ANCHOR, AREA, HTML, BODY, ODD, RAW_TEXT, FOR_PYTHON } Element;

static const struct {
    const char *name;
    Py_ssize_t size;
    Element element;
} elements[] = {
    {"a", 1, ANCHOR},          {"area", 4, AREA},         {"html", 4, HTML},
    {"body", 4, BODY},         {"style", 5, RAW_TEXT},    {"title", 5, RAW_TEXT},
    {"textarea", 8, RAW_TEXT}, {"xmp", 3, RAW_TEXT},      {"iframe", 6, RAW_TEXT},
    {"noembed", 7, RAW_TEXT},  {"noframes", 8, RAW_TEXT}, {"script", 6, FOR_PYTHON},
    {"svg", 3, FOR_PYTHON},    {"math", 4, FOR_PYTHON},   {"plaintext", 9, FOR_PYTHON},
    {"frameset", 8, ODD},      {"select", 6, ODD},        {"template", 8, ODD},
};
enum { ELEMENTS = sizeof elements / sizeof elements[0], LONGEST_NAME = 9 };

static unsigned sizes_of[256]; /* of the names in `elements`, by first letter: a bit for each size */

static void prepare_sizes(void)
{
    for (int place = 0; place < ELEMENTS; place++) {
        int first = elements[place].name[0];
        sizes_of[first] = sizes_of[first - 32] |= 1u << elements[place].size;
    }
}

/* Returns the index in `elements`, or ELEMENTS. */
static int element_of(Span name)
{
    Py_ssize_t size = size_of(name);
    if (size > LONGEST_NAME || !(sizes_of[*name.start] >> size & 1))
        return ELEMENTS;
    for (int place = 0; place < ELEMENTS; place++)
        if (size == elements[place].size && is_word(name.start, elements[place].name, size))
            return place;
    return ELEMENTS;
}

/* decodable: bytes of values that this call may still decode. start: of the last tag. unclosed: where the tag,
   comment or raw text begins that is open at the document's end, or NULL. */
typedef struct {
    const Byte *document, *at, *end, *document_end;
    PyObject *anchors;
    Py_ssize_t most, decodable;
    int comments, check_text;
    const Byte *start, *body_open, *body_close, *unclosed;
    int has_html, odd;
} Walk;

/* --- anchors (contract.md 5.3) --- */

enum { HREF, LINKNAME, LINK_NAME, SUBLINK, UNSUBSCRIBE, CLICKTRACK, NAMES, OURS = NAMES, NOT_OURS, FLAG, SWITCH };
static const char prefix[] = "data-msys-";
enum { PREFIX = sizeof prefix - 1 };

static const struct {
    const char *name; /* without the prefix */
    Py_ssize_t size;
} ours[NAMES] = {
    {"", 0}, {"linkname", 8}, {"link-name", 9}, {"sublink", 7}, {"unsubscribe", 11}, {"clicktrack", 10},
};

/* The ends of names, as in anchors._FLAGS and _SWITCHES. */
static const struct {
    const char *name;
    Py_ssize_t size;
    int kind;
} opt_outs[] = {
    {"clicktracking", 13, SWITCH}, {"autotrack", 9, SWITCH},       {"no-track", 8, FLAG},
    {"notrack", 7, FLAG},          {"disable-tracking", 16, FLAG},
};
enum { OPT_OUTS = sizeof opt_outs / sizeof opt_outs[0] };

/* Returns FLAG or SWITCH if the attribute is an opt-out of another mail service, else NOT_OURS. */
static int opt_out_of(Span name)
{
    int last = name.stop[-1] | 32;
    for (int place = 0; (last == 'k' || last == 'g') && place < OPT_OUTS; place++)
        if (size_of(name) >= opt_outs[place].size &&
            is_word(name.stop - opt_outs[place].size, opt_outs[place].name, opt_outs[place].size))
            return opt_outs[place].kind;
    return NOT_OURS;
}

static int attribute_of(Span name)
{
    Py_ssize_t size = size_of(name);
    if (size == 4)
        return is_word(name.start, "href", 4) ? HREF : NOT_OURS;
    if (size < PREFIX || (*name.start | 32) != 'd' || !is_word(name.start, prefix, PREFIX))
        return opt_out_of(name);
    size -= PREFIX;
    for (int which = LINKNAME; which < NAMES; which++)
        if (size == ours[which].size && is_word(name.start + PREFIX, ours[which].name, size))
            return which;
    return OURS;
}

/* Returns whether the value is one of anchors._NO. */
static int is_no(Span value)
{
    static const char *const refusals[] = {"0", "no", "off", "false"};
    if (value.start == NULL)
        return 0;
    value = trimmed(value);
    for (int place = 0; place < 4; place++)
        if (size_of(value) == (Py_ssize_t)strlen(refusals[place]) &&
            is_word(value.start, refusals[place], size_of(value)))
            return 1;
    return 0;
}

/* The content of an anchor's tag. seen: of each name, since only the first attribute counts. quote: of the href.
   marks: the spans of our attributes. */
typedef struct {
    int seen[NAMES], opt_out;
    Span values[NAMES];
    Byte quote;
    int marks_count;
    Span marks[MOST_MARKS];
} Content;

/* Does the same as anchors._taken_out. before: where the attribute or name before it ends. */
static Span taken_out(const Attribute *found, const Byte *before)
{
    Span mark = {found->name.start, found->stop};
    if (class_of[*mark.stop] & (WHITE | CLOSE)) /* the caller has checked that this byte exists */
        while (mark.start > before && class_of[mark.start[-1]] == WHITE)
            mark.start--;
    return mark;
}

/* Reads the tag whose name ends at *at, and moves *at to the place after its ">". */
static int read_tag(const Byte **at, const Byte *end, Content *content)
{
    Attribute found;
    const Byte *before = *at;
    memset(content->seen, 0, sizeof content->seen);
    content->marks_count = content->opt_out = 0;
    for (int left = MOST_ATTRIBUTES; left; left--) {
        int how = next_attribute(at, end, &found);
        if (how != ATTRIBUTE)
            return how;
        int which = attribute_of(found.name);
        if (which < NAMES && !content->seen[which]) {
            content->seen[which] = 1;
            content->values[which] = found.value;
            if (which == HREF)
                content->quote = found.quote;
        }
        if (which == FLAG || which == SWITCH)
            content->opt_out |= is_no(found.value) == (which == SWITCH);
        else if (which != HREF && which != NOT_OURS) {
            if (content->marks_count == MOST_MARKS || *at == end)
                return TOO_LONG;
            content->marks[content->marks_count++] = taken_out(&found, before);
        }
        before = found.stop;
    }
    return TOO_LONG;
}

static PyObject *references; /* entities.TABLE */
enum { LONGEST_REFERENCE = 40 };

/* Returns whether entities.decode may replace the reference: 1, 0, or -1 with an exception set. */
static int is_reference(const Byte *name, Py_ssize_t size)
{
    if (size > LONGEST_REFERENCE)
        return 0;
    PyObject *key = PyBytes_FromStringAndSize((const char *)name, size);
    if (key == NULL)
        return -1;
    int known = PyDict_Contains(references, key);
    Py_DECREF(key);
    return known;
}

/* Returns the number of "&amp;" in the value; -1 if it holds another reference; -2 with an exception set. */
static Py_ssize_t count_amps(Span value)
{
    Py_ssize_t count = 0;
    const Byte *at = value.start;
    while ((at = find(at, value.stop, '&')) < value.stop) {
        const Byte *name = ++at;
        if (at < value.stop && *at == '#')
            return -1;
        if (at == value.stop || class_of[*at] != LETTER)
            continue;
        while (at < value.stop && class_of[*at] & (LETTER | DIGIT))
            at++;
        if (at < value.stop && *at == '=')
            continue;
        if (at < value.stop && *at == ';')
            at++;
        if (at - name == 4 && memcmp(name, "amp;", 4) == 0) {
            count++;
            continue;
        }
        int known = is_reference(name, at - name);
        if (known)
            return known < 0 ? -2 : -1;
    }
    return count;
}

/* Returns the bytes of the value with "&amp;" decoded. amps: how many there are. */
static PyObject *without_amps(Span value, Py_ssize_t amps)
{
    if (amps == 0)
        return PyBytes_FromStringAndSize((const char *)value.start, size_of(value));
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size_of(value) - 4 * amps);
    if (bytes == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(bytes);
    const Byte *from = value.start;
    while (from < value.stop) {
        const Byte *amp = find(from, value.stop, '&'), *stop = amp;
        int is_amp = value.stop - amp >= 5 && memcmp(amp, "&amp;", 5) == 0;
        if (amp < value.stop)
            stop++;
        memcpy(to, from, (size_t)(stop - from));
        to += stop - from;
        from = is_amp ? amp + 5 : stop;
    }
    return bytes;
}

static PyObject *decode; /* entities.decode */

/* Returns the bytes of the value, decoded by Python and trimmed. */
static PyObject *decoded(Span value)
{
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)value.start, size_of(value));
    PyObject *target = bytes == NULL ? NULL : PyObject_CallOneArg(decode, bytes);
    char *start;
    Py_ssize_t size;
    Py_XDECREF(bytes);
    if (target == NULL || PyBytes_AsStringAndSize(target, &start, &size) < 0) {
        Py_XDECREF(target);
        return NULL;
    }
    Span rest = trimmed((Span){(Byte *)start, (Byte *)start + size});
    if (size_of(rest) < size)
        Py_SETREF(target, PyBytes_FromStringAndSize((const char *)rest.start, size_of(rest)));
    return target;
}

/* The fields of Anchor, in their order. */
enum {
    START,
    STOP,
    QUOTE,
    TARGET,
    TAG_NAME,
    NAME,
    UNSUBSCRIBES,
    CLICKTRACKS,
    SUBLINKS,
    ATTRIBUTES,
    TEXT_IS_URL,
    SUBLINK_IGNORED,
    OPT_OUT,
    CONDITIONAL,
    FIELDS
};
static const char fields[] = "start stop quote target tag name unsubscribe clicktrack sublink attributes "
                             "text_is_url sublink_ignored opt_out conditional";
static PyTypeObject *anchor_type;
static PyObject *no_text, *no_bytes, *double_quote, *single_quote, *tag_a, *tag_area, *no_marks;

static int is_one_byte(Span value, char sign) { return size_of(value) == 1 && *value.start == (Byte)sign; }

/* Returns whether anchors.SUBLINK matches. */
static int is_sublink(Span value)
{
    if (size_of(value) < 1 || size_of(value) > SUBLINK_BYTES || !(class_of[*value.start] & (LETTER | DIGIT)))
        return 0;
    for (const Byte *at = value.start; at < value.stop; at++)
        if (!(class_of[*at] & (LETTER | DIGIT | MARK)))
            return 0;
    return 1;
}

static PyObject *text_of(Span value)
{
    return PyUnicode_FromStringAndSize((const char *)value.start, size_of(value));
}

/* Does the same as anchors._link_name. Returns 0 where Python must do it. */
static int link_name(const Content *content, Span *name)
{
    *name = content->values[LINKNAME];
    if (size_of(*name) == 0)
        *name = content->values[LINK_NAME];
    if (size_of(*name) > NAME_BYTES)
        name->stop = name->start + NAME_BYTES;
    for (const Byte *at = name->start; at < name->stop; at++)
        if (*at >= 0x80)
            return 0;
    return 1;
}

static PyObject *marks_of(const Byte *document, const Content *content)
{
    PyObject *marks = PyTuple_New(content->marks_count);
    for (int place = 0; marks != NULL && place < content->marks_count; place++) {
        PyObject *mark =
            Py_BuildValue("nn", content->marks[place].start - document, content->marks[place].stop - document);
        if (mark == NULL)
            Py_CLEAR(marks);
        else
            PyTuple_SET_ITEM(marks, place, mark);
    }
    return marks;
}

/* Fills in the values of our attributes, as anchors._with_attributes does. Returns 1, or 0 where Python must do
   it. */
static int take_ours(const Byte *document, Content *content, PyObject **values)
{
    Span name;
    for (int which = LINKNAME; which < NAMES; which++) {
        Span *value = &content->values[which];
        if (!content->seen[which] || value->start == NULL)
            value->start = value->stop = document; /* empty */
        if (find(value->start, value->stop, '&') < value->stop)
            return 0;
        *value = trimmed(*value);
    }
    if (!link_name(content, &name))
        return 0;
    int valid = is_sublink(content->values[SUBLINK]);
    values[NAME] = text_of(name);
    values[UNSUBSCRIBES] = Py_NewRef(is_one_byte(content->values[UNSUBSCRIBE], '1') ? Py_True : Py_False);
    values[CLICKTRACKS] = Py_NewRef(is_one_byte(content->values[CLICKTRACK], '0') ? Py_False : Py_True);
    values[SUBLINKS] = valid ? text_of(content->values[SUBLINK]) : Py_NewRef(no_text);
    values[SUBLINK_IGNORED] = Py_NewRef(content->seen[SUBLINK] && !valid ? Py_True : Py_False);
    values[ATTRIBUTES] = marks_of(document, content);
    return 1;
}

/* Returns a tuple of that type, whose items must then be set; NULL with an exception set. From Python 3.14 on a
   tuple stores its hash. -1 means that there is none yet; `tp_alloc` alone would leave 0, a wrong one. */
static PyObject *new_tuple(PyTypeObject *type, Py_ssize_t size)
{
    PyObject *tuple = type->tp_alloc(type, size);
#if PY_VERSION_HEX >= 0x030E0000
    if (tuple != NULL)
        ((PyTupleObject *)tuple)->ob_hash = -1;
#endif
    return tuple;
}

/* Returns a new Anchor(*values), which takes over the references; NULL with an exception set. */
static PyObject *new_anchor(PyObject **values)
{
    PyObject *anchor = NULL;
    int place = 0;
    while (place < FIELDS && values[place] != NULL)
        place++;
    if (place == FIELDS)
        anchor = new_tuple(anchor_type, FIELDS);
    for (place = 0; place < FIELDS; place++)
        if (anchor == NULL)
            Py_XDECREF(values[place]);
        else
            PyTuple_SET_ITEM(anchor, place, values[place]);
    return anchor;
}

/* Appends the tag's anchor. Returns 1; 0 where Python must read the tag; -1 with an exception set. */
static int append_anchor(Walk *walk, Content *content, PyObject *tag)
{
    const Byte *document = walk->document;
    PyObject *values[FIELDS] = {NULL};
    Span target = trimmed(content->values[HREF]);
    if (size_of(target) > MOST_BYTES) /* where Python checks the time */
        return 0;
    Py_ssize_t amps = count_amps(target);
    if (amps == -2)
        return -1;
    if (amps == -1 && (walk->decodable -= size_of(target)) < 0)
        return 0;
    values[TARGET] = amps < 0 ? decoded(target) : without_amps(target, amps);
    if (values[TARGET] == NULL)
        return -1;
    if (content->marks_count == 0) {
        values[NAME] = Py_NewRef(no_text);
        values[UNSUBSCRIBES] = Py_NewRef(Py_False);
        values[CLICKTRACKS] = Py_NewRef(Py_True);
        values[SUBLINKS] = Py_NewRef(no_text);
        values[SUBLINK_IGNORED] = Py_NewRef(Py_False);
        values[ATTRIBUTES] = Py_NewRef(no_marks);
    } else if (!take_ours(document, content, values)) {
        Py_DECREF(values[TARGET]);
        return 0;
    }
    values[START] = PyLong_FromSsize_t(target.start - document);
    values[STOP] = PyLong_FromSsize_t(target.stop - document);
    values[QUOTE] = Py_NewRef(content->quote == '"' ? double_quote : content->quote ? single_quote : no_bytes);
    values[TAG_NAME] = Py_NewRef(tag);
    values[TEXT_IS_URL] = Py_NewRef(Py_False);
    values[OPT_OUT] = Py_NewRef(content->opt_out ? Py_True : Py_False);
    values[CONDITIONAL] = Py_NewRef(Py_False);
    PyObject *anchor = new_anchor(values);
    if (anchor == NULL)
        return -1;
    int failed = PyList_Append(walk->anchors, anchor);
    Py_DECREF(anchor);
    return failed ? -1 : 1;
}

/* Returns whether link_text.is_url may be true: an end tag is near, with a "." or ":" in the text before it. */
static int may_be_url(const Byte *at, const Byte *end)
{
    int seen = 0;
    if (end - at > VISIBLE)
        end = at + VISIBLE;
    while (at < end) {
        if (*at == '<') {
            const Byte *stop = at + 1;
            if (end - at >= 4 && at[1] == '/' && (at[2] | 32) == 'a' && class_of[at[3]] & AFTER_NAME)
                return seen;
            while (stop < end && *stop != '<' && *stop != '>')
                stop++;
            if (stop < end && *stop == '>')
                at = stop;
        } else {
            seen |= *at == '.' || *at == ':';
        }
        at++;
    }
    return 0;
}

/* --- the walk --- */

/* Why `walk` returns: see _walk.pyi. ON: it does not return yet. FAILED: an exception is set. */
enum { MORE, TAG, COMMENT, CHECK_TEXT, ON, FAILED };

/* Moves to `at`. If that is NULL, moves to the end: the document ends inside the token at walk->start. */
static void go_to(Walk *walk, const Byte *at)
{
    walk->at = at == NULL ? walk->end : at;
    if (at == NULL)
        walk->unclosed = walk->start;
}

/* Handles an `a` or `area` whose name ends at walk->at. */
static int take_anchor(Walk *walk, PyObject *tag)
{
    Content content;
    const Byte *at = walk->at;
    int how = read_tag(&at, walk->end, &content);
    if (how == TOO_LONG)
        return TAG;
    if (how == UNCLOSED) {
        go_to(walk, NULL);
        return MORE;
    }
    if (content.seen[HREF] && content.values[HREF].start != NULL) {
        int taken = append_anchor(walk, &content, tag);
        if (taken <= 0)
            return taken ? FAILED : TAG;
        walk->at = at;
        if (walk->check_text && tag == tag_a && may_be_url(at, walk->document_end))
            return CHECK_TEXT;
        return PyList_GET_SIZE(walk->anchors) > walk->most ? MORE : ON;
    }
    walk->at = at;
    return ON;
}

/* Handles a start or end tag that begins at walk->start. */
static int take_tag(Walk *walk)
{
    int is_end = walk->start[1] == '/';
    Span name = {walk->start + 1 + is_end, walk->start + 2 + is_end};
    while (name.stop < walk->end && !(class_of[*name.stop] & AFTER_NAME))
        name.stop++;
    const Byte *at = walk->at = name.stop;
    int place = element_of(name);
    Element element = place < ELEMENTS ? elements[place].element : OTHER;
    if (is_end && element != BODY)
        element = OTHER;
    if (element == FOR_PYTHON)
        return TAG;
    if (element == ANCHOR || element == AREA)
        return take_anchor(walk, element == ANCHOR ? tag_a : tag_area);
    int how = skip_attributes(&at, walk->end);
    if (how == TOO_LONG)
        return TAG;
    if (how == UNCLOSED) {
        go_to(walk, NULL);
        return MORE;
    }
    walk->at = at;
    if (element == RAW_TEXT)
        go_to(walk, raw_text_end(at, walk->end, elements[place].name, elements[place].size));
    else if (element == HTML)
        walk->has_html = 1;
    else if (element == ODD)
        walk->odd = 1;
    else if (element == BODY && is_end)
        walk->body_close = walk->start;
    else if (element == BODY && walk->body_open == NULL)
        walk->body_open = at;
    return ON;
}

/* Handles the token that begins with the "<" at walk->start, which is not the last byte of the document. */
static int take_token(Walk *walk)
{
    const Byte *at = walk->start + 1, *end = walk->end;
    if (class_of[*at] == LETTER)
        return take_tag(walk);
    if (*at == '/') {
        if (end - at >= 2 && class_of[at[1]] == LETTER)
            return take_tag(walk);
        go_to(walk, after_close(at, end));
    } else if (*at == '!' && end - at >= 3 && at[1] == '-' && at[2] == '-') {
        at += 3;
        if (walk->comments && at < end && *at == '[') { /* else it is not a conditional comment */
            walk->at = at;
            return COMMENT;
        }
        go_to(walk, comment_end(at, end));
    } else if (*at == '!' || *at == '?') {
        go_to(walk, after_close(at, end));
    } else {
        walk->at = at; /* text */
    }
    return ON;
}

static int go(Walk *walk)
{
    const Byte *pause = walk->end - walk->at > MOST_BYTES ? walk->at + MOST_BYTES : walk->end;
    int what = ON;
    for (int left = MOST_TAGS; what == ON && left && walk->at < pause; left--) {
        walk->start = find(walk->at, walk->end, '<');
        if (walk->end - walk->start < 2)
            walk->at = walk->end;
        else
            what = take_token(walk);
    }
    return what == ON ? MORE : what;
}

static PyObject *walk_on(PyObject *Py_UNUSED(module), PyObject *const *given, Py_ssize_t count)
{
    if (count != 7 || !PyBytes_Check(given[0]) || !PyLong_Check(given[1]) || !PyLong_Check(given[2]) ||
        !PyList_Check(given[3]) || !PyLong_Check(given[4]) || !PyBool_Check(given[5]) ||
        !PyBool_Check(given[6])) {
        PyErr_SetString(PyExc_TypeError, "walk takes bytes, two offsets, a list, a number and two truths");
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(given[0]);
    Py_ssize_t position = PyLong_AsSsize_t(given[1]), limit = PyLong_AsSsize_t(given[2]);
    Walk walk = {.anchors = given[3], .most = PyLong_AsSsize_t(given[4]), .decodable = MOST_DECODED};
    if (PyErr_Occurred())
        return NULL;
    if (position < 0 || position > limit || limit > size) {
        PyErr_SetString(PyExc_ValueError, "walk: the offsets lie outside of the document");
        return NULL;
    }
    walk.document = (const Byte *)PyBytes_AS_STRING(given[0]);
    walk.at = walk.start = walk.document + position;
    walk.end = walk.document + limit;
    walk.document_end = walk.document + size;
    walk.comments = given[5] == Py_True;
    walk.check_text = given[6] == Py_True;
    int what = go(&walk);
    if (what == FAILED)
        return NULL;
    return Py_BuildValue("ninnnnOO", walk.at - walk.document, what, walk.start - walk.document,
                         walk.body_open == NULL ? -1 : walk.body_open - walk.document,
                         walk.body_close == NULL ? -1 : walk.body_close - walk.document,
                         walk.unclosed == NULL ? -1 : walk.unclosed - walk.document,
                         walk.has_html ? Py_True : Py_False, walk.odd ? Py_True : Py_False);
}

/* --- the module --- */

static PyObject *attribute_of_module(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *found = imported == NULL ? NULL : PyObject_GetAttrString(imported, name);
    Py_XDECREF(imported);
    return found;
}

/* Returns whether `new_anchor` may fill in objects of the type: it is a tuple with these fields and nothing else. */
static int has_known_fields(PyObject *type)
{
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type) ||
        ((PyTypeObject *)type)->tp_basicsize != PyTuple_Type.tp_basicsize)
        return 0;
    PyObject *names = PyObject_GetAttrString(type, "_fields"), *blank = PyUnicode_FromString(" ");
    PyObject *joined = names == NULL || blank == NULL ? NULL : PyUnicode_Join(blank, names);
    int same = joined != NULL && PyUnicode_CompareWithASCIIString(joined, fields) == 0;
    Py_XDECREF(names);
    Py_XDECREF(blank);
    Py_XDECREF(joined);
    return same;
}

static int prepare(void)
{
    /* The objects of another interpreter end before the process does. */
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "_walk is for the main interpreter");
        return 0;
    }
    prepare_classes();
    prepare_sizes();
    PyObject *type = attribute_of_module("smtpapi.find.model", "Anchor");
    references = attribute_of_module("smtpapi.find.html_syntax.entities", "TABLE");
    decode = attribute_of_module("smtpapi.find.html_syntax.entities", "decode");
    if (type == NULL || references == NULL || decode == NULL)
        return 0;
    if (!has_known_fields(type) || !PyDict_Check(references)) {
        PyErr_SetString(PyExc_ImportError, "_walk was built for another smtpapi.find.model.Anchor");
        return 0;
    }
    anchor_type = (PyTypeObject *)type;
    no_text = PyUnicode_FromString("");
    tag_a = PyUnicode_InternFromString("a");
    tag_area = PyUnicode_InternFromString("area");
    no_bytes = PyBytes_FromString("");
    double_quote = PyBytes_FromString("\"");
    single_quote = PyBytes_FromString("'");
    no_marks = PyTuple_New(0);
    return no_text && tag_a && tag_area && no_bytes && double_quote && single_quote && no_marks;
}

static PyMethodDef functions[] = {
    {"walk", (PyCFunction)(void (*)(void))walk_on, METH_FASTCALL,
     PyDoc_STR("To the next tag that needs thought.")},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_walk", NULL, 0, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__walk(void)
{
    if (!prepare())
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made != NULL &&
        (PyModule_AddIntConstant(made, "MORE", MORE) || PyModule_AddIntConstant(made, "TAG", TAG) ||
         PyModule_AddIntConstant(made, "COMMENT", COMMENT) ||
         PyModule_AddIntConstant(made, "CHECK_TEXT", CHECK_TEXT)))
        Py_CLEAR(made);
    return made;
}

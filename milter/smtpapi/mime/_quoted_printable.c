/* Quoted-printable (RFC 2045 6.7) in C: decode, encode, and put edits back into the encoded text.

Not a second authority. Each function has its twin in Python, in `smtpapi.mime.quoted_printable`. The twin
documents it, and is used where this was not built; tests/unit/test_native_quoted_printable.py compares the two.
Malformed escapes, edits out of order or past the end, and values of other types give None: the twin decides then.

Invariants: it reads strangers' mail, so nothing is read or written past the end of the bytes given; each
function is linear in its arguments; nothing is stored between two calls. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { LINE = 76 };                /* RFC 2045 6.7 (5) */
enum { ROOM = LINE - 1 };          /* beside the "=" of a soft break */
enum { MAX_REST = 990 + 2 };       /* `edits.MAX_LINE` and a line end; all longer lines are too long */
enum { MAX_SOFT = 3 };             /* "=\r\n" */
enum { START, STOP, NEW, FIELDS = 9 }; /* of an `Edit` */

typedef const unsigned char *Bytes;

static int8_t value_of[256];        /* of a hexadecimal digit; -1 for all other bytes */
static unsigned char is_literal[256]; /* may stand for itself in a value */
static unsigned char is_text[256];  /* may stand for itself inside a line */

static void prepare_tables(void)
{
    memset(value_of, -1, sizeof value_of);
    for (int value = 0; value < 10; value++)
        value_of['0' + value] = (int8_t)value;
    for (int value = 10; value < 16; value++)
        value_of['A' + value - 10] = value_of['a' + value - 10] = (int8_t)value;
    for (int code = ' '; code <= '~'; code++)
        is_literal[code] = is_text[code] = code != '=';
    is_text['\t'] = 1;
}

static Py_ssize_t least(Py_ssize_t one, Py_ssize_t other) { return one < other ? one : other; }

/* Returns the length of the escape that begins with the "=" at `at`; 0 if it is malformed. byte: set to its value,
   -1 for a soft break. */
static int escape_at(Bytes at, Bytes end, int *byte)
{
    *byte = -1;
    if (end - at >= 2 && at[1] == '\n')
        return 2;
    if (end - at < 3)
        return 0;
    if (at[1] == '\r' && at[2] == '\n')
        return 3;
    int high = value_of[at[1]], low = value_of[at[2]];
    if ((high | low) < 0)
        return 0;
    *byte = high << 4 | low;
    return 3;
}

/* --- decoding --- */

static PyObject *decode(PyObject *Py_UNUSED(module), PyObject *encoded)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(encoded, &bytes, &size) < 0)
        return NULL;
    PyObject *decoded = PyBytes_FromStringAndSize(NULL, size);
    if (decoded == NULL)
        return NULL;
    unsigned char *start = (unsigned char *)PyBytes_AS_STRING(decoded), *to = start;
    Bytes at = (Bytes)bytes, end = at + size;
    while (at < end) {
        if (*at != '=') { /* decoded text is never longer than the encoded, so there is room */
            Bytes escape = memchr(at, '=', (size_t)(end - at));
            Py_ssize_t run = (escape == NULL ? end : escape) - at;
            memcpy(to, at, (size_t)run);
            at += run;
            to += run;
            continue;
        }
        int byte, length = escape_at(at, end, &byte);
        if (length == 0) {
            Py_DECREF(decoded);
            Py_RETURN_NONE;
        }
        if (byte >= 0)
            *to++ = (unsigned char)byte;
        at += length;
    }
    _PyBytes_Resize(&decoded, to - start); /* NULL where that fails */
    return decoded;
}

/* --- from decoded to encoded offsets --- */

/* A place between two units of the encoded text, with `decoded` bytes before it. */
typedef struct {
    Bytes at, end;
    Py_ssize_t decoded;
} Walk;

/* Moves to the first place with `offset` decoded bytes before it. Returns 0 where there is none. */
static int walk_to(Walk *walk, Py_ssize_t offset)
{
    Py_ssize_t missing = offset - walk->decoded;
    if (missing < 0)
        return 0;
    while (missing > 0) {
        Py_ssize_t most = least(missing, walk->end - walk->at);
        if (most > 0 && *walk->at != '=') {
            Bytes escape = memchr(walk->at, '=', (size_t)most);
            Py_ssize_t run = escape == NULL ? most : escape - walk->at;
            walk->at += run;
            missing -= run;
            continue;
        }
        int byte, length = most > 0 ? escape_at(walk->at, walk->end, &byte) : 0;
        if (length == 0)
            return 0;
        walk->at += length;
        missing -= byte >= 0;
    }
    walk->decoded = offset;
    return 1;
}

/* Moves past soft breaks, except one at the end of the body. Returns 0 at a malformed escape. */
static int pass_soft_breaks(Walk *walk)
{
    while (walk->at < walk->end && *walk->at == '=') {
        int byte, length = escape_at(walk->at, walk->end, &byte);
        if (length == 0)
            return 0;
        if (byte >= 0 || walk->at + length == walk->end)
            return 1;
        walk->at += length;
    }
    return 1;
}

/* Returns the offset in an `Edit`; -1 if it is not one. */
static Py_ssize_t offset_of(PyObject *number)
{
    Py_ssize_t offset = PyLong_CheckExact(number) ? PyLong_AsSsize_t(number) : -1;
    if (offset == -1)
        PyErr_Clear();
    return offset < 0 ? -1 : offset;
}

static int is_list(PyObject *given) { return PyList_CheckExact(given) || PyTuple_CheckExact(given); }

/* Returns a new reference to the item; to None if the list has become shorter meanwhile. */
static PyObject *item_at(PyObject *list, Py_ssize_t number)
{
    if (number >= PySequence_Fast_GET_SIZE(list))
        return Py_NewRef(Py_None);
    return Py_NewRef(PySequence_Fast_GET_ITEM(list, number));
}

static PyObject *encoded_offsets(PyObject *Py_UNUSED(module), PyObject *const *given, Py_ssize_t count)
{
    char *bytes;
    Py_ssize_t size;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "encoded_offsets takes a body and offsets");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(given[0], &bytes, &size) < 0)
        return NULL;
    if (!is_list(given[1]))
        Py_RETURN_NONE;
    Py_ssize_t items = PySequence_Fast_GET_SIZE(given[1]);
    PyObject *found = PyList_New(items);
    if (found == NULL)
        return NULL;
    Walk walk = {(Bytes)bytes, (Bytes)bytes + size, 0};
    for (Py_ssize_t number = 0; number < items; number++) {
        PyObject *item = item_at(given[1], number);
        Py_ssize_t offset = offset_of(item);
        Py_DECREF(item);
        if (offset < 0 || !walk_to(&walk, offset) || !pass_soft_breaks(&walk)) {
            Py_DECREF(found);
            Py_RETURN_NONE;
        }
        PyObject *place = PyLong_FromSsize_t(walk.at - (Bytes)bytes);
        if (place == NULL) {
            Py_DECREF(found);
            return NULL;
        }
        PyList_SET_ITEM(found, number, place);
    }
    return found;
}

/* --- encoding --- */

static int is_soft_break(PyObject *soft)
{
    Py_ssize_t size = PyBytes_GET_SIZE(soft);
    const char *bytes = PyBytes_AS_STRING(soft);
    return (size == 2 && memcmp(bytes, "=\n", 2) == 0) || (size == 3 && memcmp(bytes, "=\r\n", 3) == 0);
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte)) /* the byte eight times */

static uint64_t has_less(uint64_t word, unsigned byte) { return (word - EACH(byte)) & ~word & EACH(0x80); }

/* Returns whether `is_literal` holds for each of eight bytes, as for nearly all bytes of links. */
static int are_literal(Bytes at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return ((word & EACH(0x80)) | has_less(word, ' ') | has_less(word ^ EACH('='), 1) |
            has_less(word ^ EACH(0x7f), 1)) == 0;
}

/* Returns the number of octets of the encoded bytes. own: the bytes that stand for themselves; from `bare` on none
   does. */
static Py_ssize_t escaped_size(Bytes at, Bytes bare, Bytes end, const unsigned char *own)
{
    Py_ssize_t escapes = end - bare;
    for (Bytes each = at; each < bare;)
        if (bare - each >= 8 && are_literal(each))
            each += 8;
        else
            escapes += !own[*each++];
    return end - at + 2 * escapes;
}

typedef struct {
    unsigned char *to, *end; /* end: of the room */
    PyObject *soft;
    Py_ssize_t last; /* octets since the last soft break or, without one, since the start */
    int is_broken, is_full;
} Writer;

static void put(Writer *into, const void *bytes, Py_ssize_t size)
{
    if (into->end - into->to < size) {
        into->is_full = 1;
        return;
    }
    memcpy(into->to, bytes, (size_t)size);
    into->to += size;
    into->last += size;
}

static void put_soft_break(Writer *into)
{
    put(into, PyBytes_AS_STRING(into->soft), PyBytes_GET_SIZE(into->soft));
    into->last = 0;
    into->is_broken = 1;
}

/* Writes the encoded bytes with soft breaks: as many on the first line as there is room, the rest on new lines. at,
   bare, end, own: as in `escaped_size`. Each turn of the loop writes something or begins a line that has room. */
static void put_escaped(Writer *into, Bytes at, Bytes bare, Bytes end, const unsigned char *own, Py_ssize_t room)
{
    static const char digits[] = "0123456789ABCDEF";
    while (!into->is_full) {
        Py_ssize_t run = 0, most = at < bare ? least(room, bare - at) : 0;
        while (run < most)
            if (most - run >= 8 && are_literal(at + run))
                run += 8;
            else if (own[at[run]])
                run++;
            else
                break;
        put(into, at, run);
        at += run;
        room -= run;
        if (at == end)
            return;
        if (room >= 3 && (at >= bare || !own[*at])) {
            char escape[] = {'=', digits[*at >> 4], digits[*at & 15]};
            put(into, escape, 3);
            at++;
            room -= 3;
        } else {
            put_soft_break(into);
            room = ROOM;
        }
    }
}

/* Returns the room for the text in lines: all but the first and last have at least 73 octets. */
static Py_ssize_t wrapped_size(Py_ssize_t escaped) { return escaped + (escaped / 73 + 3) * MAX_SOFT; }

/* The place of an edit in its line. column: octets of the edited line before the edit; later, up to its end. rest:
   octets of the line after it. */
typedef struct {
    Py_ssize_t column, rest;
} Line;

/* Returns the new bytes of an edit, encoded; NULL with an exception set. */
static PyObject *wrapped(PyObject *new, PyObject *soft, Line *line)
{
    Bytes at = (Bytes)PyBytes_AS_STRING(new), end = at + PyBytes_GET_SIZE(new);
    if (end - at > PY_SSIZE_T_MAX / 8)
        return PyErr_NoMemory();
    Py_ssize_t escaped = escaped_size(at, end, end, is_literal), room = escaped;
    if (line->column + escaped + line->rest <= LINE) {
        if (escaped == end - at) {
            line->column += escaped;
            return Py_NewRef(new);
        }
    } else {
        room = line->column < ROOM ? ROOM - line->column : 0;
        if (escaped <= room)
            room = escaped;
    }
    PyObject *encoded = PyBytes_FromStringAndSize(NULL, wrapped_size(escaped));
    if (encoded == NULL)
        return NULL;
    unsigned char *start = (unsigned char *)PyBytes_AS_STRING(encoded);
    Writer into = {start, start + PyBytes_GET_SIZE(encoded), soft, 0, 0, 0};
    put_escaped(&into, at, end, end, is_literal, room);
    Py_ssize_t last = into.last + (into.is_broken ? 0 : line->column);
    if (line->rest && last + line->rest > LINE) {
        put_soft_break(&into);
        last = 0;
    }
    line->column = last;
    if (into.is_full) {
        Py_DECREF(encoded);
        PyErr_SetString(PyExc_SystemError, "more soft breaks than there can be");
        return NULL;
    }
    _PyBytes_Resize(&encoded, into.to - start);
    return encoded;
}

/* Returns the column at `at`. column: that at `before`. */
static Py_ssize_t column_at(Bytes before, Bytes at, Py_ssize_t column)
{
    for (Bytes each = at; each > before; each--)
        if (each[-1] == '\n')
            return at - each;
    return column + (at - before);
}

static Py_ssize_t rest_of_line(Bytes at, Bytes end)
{
    Py_ssize_t most = least(end - at, MAX_REST);
    Bytes stop = most > 0 ? memchr(at, '\n', (size_t)most) : NULL;
    if (stop == NULL)
        return most;
    return stop - at - (stop > at && stop[-1] == '\r');
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

/* Returns the edit in encoded offsets; NULL with an exception set. type: a kind of tuple. */
static PyObject *placed_edit(PyTypeObject *type, Py_ssize_t start, Py_ssize_t stop, PyObject *new, PyObject *edit)
{
    PyObject *values[FIELDS] = {PyLong_FromSsize_t(start), PyLong_FromSsize_t(stop), Py_NewRef(new)};
    PyObject *placed = values[0] == NULL || values[1] == NULL ? NULL : new_tuple(type, FIELDS);
    for (int field = NEW + 1; field < FIELDS; field++)
        values[field] = Py_NewRef(PyTuple_GET_ITEM(edit, field));
    for (int field = 0; field < FIELDS; field++)
        if (placed == NULL)
            Py_XDECREF(values[field]);
        else
            PyTuple_SET_ITEM(placed, field, values[field]);
    return placed;
}

/* Returns one edit in encoded offsets; None where the twin must place all; NULL with an exception set. column: of the
   edited line, at the place of the walk. */
static PyObject *place_one(Walk *walk, Bytes text, PyObject *edit, PyTypeObject *type, PyObject *soft,
                           Py_ssize_t *column)
{
    if (Py_TYPE(edit) != type || PyTuple_GET_SIZE(edit) != FIELDS)
        Py_RETURN_NONE;
    Py_ssize_t first = offset_of(PyTuple_GET_ITEM(edit, START)), end = offset_of(PyTuple_GET_ITEM(edit, STOP));
    PyObject *new = PyTuple_GET_ITEM(edit, NEW);
    Bytes before = walk->at;
    if (first < 0 || end < first || !PyBytes_CheckExact(new))
        Py_RETURN_NONE;
    if (!walk_to(walk, first) || !pass_soft_breaks(walk))
        Py_RETURN_NONE;
    Bytes start = walk->at; /* soft breaks before an edit stay, those inside it are removed */
    if (!walk_to(walk, end))
        Py_RETURN_NONE;
    Line line = {column_at(before, start, *column), rest_of_line(walk->at, walk->end)};
    PyObject *encoded = wrapped(new, soft, &line);
    if (encoded == NULL)
        return NULL;
    *column = line.column;
    PyObject *placed = placed_edit(type, start - text, walk->at - text, encoded, edit);
    Py_DECREF(encoded);
    return placed;
}

static PyObject *place(PyObject *Py_UNUSED(module), PyObject *const *given, Py_ssize_t count)
{
    if (count != 4 || !PyBytes_Check(given[0]) || !PyBytes_Check(given[2]) || !PyType_Check(given[3]) ||
        !PyType_IsSubtype((PyTypeObject *)given[3], &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "place takes a body, edits, a soft break and a type of tuples");
        return NULL;
    }
    if (!is_list(given[1]) || !is_soft_break(given[2]))
        Py_RETURN_NONE;
    Py_ssize_t items = PySequence_Fast_GET_SIZE(given[1]), column = 0;
    PyObject *edits = PyList_New(items);
    if (edits == NULL)
        return NULL;
    Bytes text = (Bytes)PyBytes_AS_STRING(given[0]);
    Walk walk = {text, text + PyBytes_GET_SIZE(given[0]), 0};
    for (Py_ssize_t number = 0; number < items; number++) {
        PyObject *edit = item_at(given[1], number);
        PyObject *placed = place_one(&walk, text, edit, (PyTypeObject *)given[3], given[2], &column);
        Py_DECREF(edit);
        if (placed == NULL || placed == Py_None) {
            Py_DECREF(edits);
            return placed;
        }
        PyList_SET_ITEM(edits, number, placed);
    }
    return edits;
}

static void put_line(Writer *into, Bytes at, Bytes end)
{
    Bytes bare = end > at && (end[-1] == ' ' || end[-1] == '\t') ? end - 1 : end; /* RFC 2045 6.7 (3) */
    Py_ssize_t escaped = escaped_size(at, bare, end, is_text);
    put_escaped(into, at, bare, end, is_text, escaped <= LINE ? escaped : ROOM);
}

static PyObject *encode(PyObject *Py_UNUSED(module), PyObject *const *given, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(given[0]) || !PyBytes_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError, "encode takes bytes and a soft break");
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(given[0]);
    if (!is_soft_break(given[1]) || size > PY_SSIZE_T_MAX / 8)
        Py_RETURN_NONE;
    PyObject *encoded = PyBytes_FromStringAndSize(NULL, wrapped_size(3 * size));
    if (encoded == NULL)
        return NULL;
    unsigned char *start = (unsigned char *)PyBytes_AS_STRING(encoded);
    Writer into = {start, start + PyBytes_GET_SIZE(encoded), given[1], 0, 0, 0};
    Bytes at = (Bytes)PyBytes_AS_STRING(given[0]), end = at + size;
    while (at < end && !into.is_full) {
        Bytes feed = memchr(at, '\n', (size_t)(end - at));
        if (feed == NULL) {
            put_line(&into, at, end);
            break;
        }
        Bytes stop = feed > at && feed[-1] == '\r' ? feed - 1 : feed;
        put_line(&into, at, stop);
        put(&into, stop, feed + 1 - stop);
        at = feed + 1;
    }
    if (into.is_full) {
        Py_DECREF(encoded);
        PyErr_SetString(PyExc_SystemError, "more soft breaks than there can be");
        return NULL;
    }
    _PyBytes_Resize(&encoded, into.to - start);
    return encoded;
}

static PyMethodDef functions[] = {
    {"decode", decode, METH_O, PyDoc_STR("The bytes behind it; None where an escape is malformed.")},
    {"encoded_offsets", (PyCFunction)(void (*)(void))encoded_offsets, METH_FASTCALL,
     PyDoc_STR("As QuotedPrintable.encoded_offsets, or None.")},
    {"place", (PyCFunction)(void (*)(void))place, METH_FASTCALL, PyDoc_STR("As QuotedPrintable.place, or None.")},
    {"encode", (PyCFunction)(void (*)(void))encode, METH_FASTCALL,
     PyDoc_STR("As encode_quoted_printable, or None.")},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_quoted_printable", NULL, 0, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__quoted_printable(void)
{
    prepare_tables();
    return PyModule_Create(&module);
}

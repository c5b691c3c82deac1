/* Opening links, in C: from the path of a common request to payload, times and target.

Not a second authority. `read` answers for what nearly all requests are, and returns None whenever in doubt. Its
twin in Python is `engagement.links.fast_open.read_by_parts`, which is used where this was not built, and which
tests/unit/test_native_open.py compares it with. Why: docs/decisions/0014-native-path.md.

Invariants: nothing is read or written past the end of what was given; nothing of a payload is read before the
cipher said that it is authentic; nothing is kept between two calls. No cipher is here. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { HEADER = 4, CLEAR = HEADER + 16, MAX_PAYLOAD = 8192, MAX_RAW = CLEAR + MAX_PAYLOAD };
enum { MAX_TARGET = 4096, MAX_ITEMS = 64, YEAR = 31536000 };
enum { CLICKS = 1 << 1 | 1 << 4, OPENS = 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 }; /* by `Kind` */
#define MAX_NUMBER ((int64_t)1 << 53)

/* --- the token: base64url without padding, one spelling for each (RFC 4648 5) --- */

static int8_t value_of[256];

static void prepare_values(void)
{
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    memset(value_of, -1, sizeof value_of);
    for (int8_t value = 0; value < 64; value++)
        value_of[(unsigned char)signs[value]] = value;
}

/* The bytes of a token; the number of them, or -1. raw: room for MAX_RAW. */
static Py_ssize_t decode(const unsigned char *token, Py_ssize_t size, unsigned char *raw)
{
    Py_ssize_t most = size / 4 * 3 + (size % 4 ? size % 4 - 1 : 0);
    if (size % 4 == 1 || most <= CLEAR || most > MAX_RAW)
        return -1;
    unsigned char *to = raw;
    int wrong = 0;
    Py_ssize_t at = 0;
    for (; at + 4 <= size; at += 4) {
        uint32_t bits = 0;
        for (int place = 0; place < 4; place++) {
            int value = value_of[token[at + place]];
            wrong |= value;
            bits = bits << 6 | (uint32_t)(value & 63);
        }
        *to++ = (unsigned char)(bits >> 16);
        *to++ = (unsigned char)(bits >> 8);
        *to++ = (unsigned char)bits;
    }
    if (at < size) {
        int a = value_of[token[at]], b = value_of[token[at + 1]];
        int c = size - at == 3 ? value_of[token[at + 2]] : 0;
        wrong |= a | b | c;
        *to++ = (unsigned char)((a & 63) << 2 | (b & 63) >> 4);
        if (size - at == 3)
            *to++ = (unsigned char)((b & 63) << 4 | (c & 63) >> 2);
        if (size - at == 2 ? b & 15 : c & 3)  /* spare bits that are not zero: another spelling */
            return -1;
    }
    return wrong < 0 ? -1 : to - raw;
}

/* --- the payload: as much of MessagePack as ours are written in --- */

typedef struct {
    const unsigned char *at, *end;
} Reader;

static int take(Reader *from, Py_ssize_t count, const unsigned char **taken)
{
    if (count < 0 || from->end - from->at < count)
        return 0;
    *taken = from->at;
    from->at += count;
    return 1;
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static int number(Reader *from, int width, uint64_t *found)
{
    const unsigned char *bytes;
    if (!take(from, width, &bytes))
        return 0;
    for (*found = 0; width--; bytes++)
        *found = *found << 8 | *bytes;
    return 1;
}

static int integer(Reader *from, int64_t *found)
{
    uint64_t bits, sign;
    if (!number(from, 1, &bits))
        return 0;
    if (bits < 0x80) {
        *found = (int64_t)bits;
    } else if (bits >= 0xe0) {
        *found = (int64_t)bits - 256;
    } else if (bits >= 0xcc && bits <= 0xcf) {
        if (!number(from, 1 << (bits - 0xcc), &bits) || bits > (uint64_t)MAX_NUMBER)
            return 0;
        *found = (int64_t)bits;
    } else if (bits >= 0xd0 && bits <= 0xd3) {
        int width = 1 << (bits - 0xd0);
        if (!number(from, width, &bits))
            return 0;
        sign = (uint64_t)1 << (8 * width - 1);
        *found = (int64_t)((bits ^ sign) - sign);
    } else {
        return 0;
    }
    return *found >= -MAX_NUMBER && *found <= MAX_NUMBER;
}

static int array(Reader *from, uint64_t *count)
{
    if (!number(from, 1, count))
        return 0;
    if (*count >= 0x90 && *count <= 0x9f)
        *count -= 0x90;
    else if (*count != 0xdc || !number(from, 2, count))
        return 0;
    return *count <= MAX_ITEMS;
}

static int binary(Reader *from, const unsigned char **bytes, uint64_t *size)
{
    uint64_t mark;
    return number(from, 1, &mark) && mark >= 0xc4 && mark <= 0xc6 && number(from, 1 << (mark - 0xc4), size) &&
           take(from, (Py_ssize_t)*size, bytes);
}

/* Whether text is what Python takes: UTF-8, lone surrogates and all. */
static int is_text(const unsigned char *bytes, Py_ssize_t size)
{
    Py_ssize_t at = 0;
    while (at < size && bytes[at] < 0x80)
        at++;
    if (at == size)
        return 1;
    PyObject *text = PyUnicode_DecodeUTF8((const char *)bytes, size, "surrogatepass");
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(text);
    return 1;
}

/* One item of any type that ours have. depth: how many arrays it may stand in one another. */
static int skip(Reader *from, int depth)
{
    const unsigned char *bytes;
    uint64_t size;
    int64_t ignored;
    if (from->at == from->end)
        return 0;
    unsigned mark = *from->at;
    if (mark == 0xc0 || mark == 0xc2 || mark == 0xc3)  /* nil, false, true */
        return take(from, 1, &bytes);
    if (mark >= 0xc4 && mark <= 0xc6)
        return binary(from, &bytes, &size);
    if (mark >= 0xa0 && mark <= 0xbf) {
        from->at++;
        return take(from, mark - 0xa0, &bytes) && is_text(bytes, mark - 0xa0);
    }
    if (mark >= 0xd9 && mark <= 0xdb) {
        from->at++;
        return number(from, 1 << (mark - 0xd9), &size) && take(from, (Py_ssize_t)size, &bytes) &&
               is_text(bytes, (Py_ssize_t)size);
    }
    if ((mark & 0xf0) == 0x90 || mark == 0xdc) {
        if (depth == 0 || !array(from, &size))
            return 0;
        while (size--)
            if (!skip(from, depth - 1))
                return 0;
        return 1;
    }
    return integer(from, &ignored);
}

typedef struct {
    int64_t issued, life;
    const unsigned char *rest;
    uint64_t rest_size, flags;
} Peeked;

static int peek(const unsigned char *packed, Py_ssize_t size, int with_link, Peeked *found)
{
    Reader from = {packed, packed + size};
    uint64_t items, fields;
    int64_t flags;
    if (size > MAX_PAYLOAD || !array(&from, &items) || items < (with_link ? 2u : 1u) || !array(&from, &fields) ||
        fields < 4 || !skip(&from, 0) || !skip(&from, 0) || !integer(&from, &found->issued) ||
        !integer(&from, &found->life))
        return 0;
    for (fields -= 4; fields; fields--)
        if (!skip(&from, 1))
            return 0;
    items--;
    if (with_link) {
        if (!array(&from, &fields) || fields < 2 || !integer(&from, &flags) || flags < 0 ||
            !binary(&from, &found->rest, &found->rest_size))
            return 0;
        found->flags = (uint64_t)flags;
        for (fields -= 2; fields; fields--)
            if (!skip(&from, 0))
                return 0;
        items--;
    }
    for (; items; items--)
        if (!skip(&from, 2))
            return 0;
    return from.at == from.end;
}

/* --- the target: the form that nearly all have, `urls._COMMON` --- */

static int is_letter(unsigned char sign) { return (sign | 32) >= 'a' && (sign | 32) <= 'z'; }
static int is_digit(unsigned char sign) { return sign >= '0' && sign <= '9'; }

static int is_common(const unsigned char *at, Py_ssize_t size)
{
    const unsigned char *end = at + size;
    if (size < 8 || size > MAX_TARGET || (at[0] | 32) != 'h' || (at[1] | 32) != 't' || (at[2] | 32) != 't' ||
        (at[3] | 32) != 'p')
        return 0;
    at += (at[4] | 32) == 's' ? 5 : 4;
    if (end - at < 3 || at[0] != ':' || at[1] != '/' || at[2] != '/')
        return 0;
    at += 3;
    int labels = 0;
    for (;;) {
        const unsigned char *label = at;
        while (at < end && (is_letter(*at) || is_digit(*at) || *at == '-' || *at == '_'))
            at++;
        if (at < end && *at == '.') {
            if (at == label || at - label > 30 || ++labels > 6)
                return 0;
            at++;
            continue;
        }
        if (labels == 0 || at == label || at - label > 63 || !is_letter(*label) ||
            memchr(label, '_', (size_t)(at - label)) != NULL)
            return 0;
        break;
    }
    if (at < end && *at == ':') {
        const unsigned char *port = ++at;
        while (at < end && is_digit(*at))
            at++;
        if (at == port || at - port > 4)
            return 0;
    }
    if (at < end && *at != '/' && *at != '?' && *at != '#')
        return 0;
    for (; at < end; at++)
        if (*at < '!' || *at > '~' || *at == '\\')
            return 0;
    return 1;
}

static const struct {
    const char *text;
    size_t size;
} prefixes[] = {{"", 0}, {"http://", 7}, {"https://", 8}, {"https://www.", 12}};

static PyObject *invalid_tag; /* cryptography.exceptions.InvalidTag */

/* The path's token as bytes; the number of them, or -1 for a path that is not common. */
static Py_ssize_t token_of(PyObject *path, int *is_click, unsigned char *raw)
{
    if (!PyUnicode_Check(path) || !PyUnicode_IS_COMPACT_ASCII(path))
        return -1;
    const unsigned char *signs = PyUnicode_DATA(path);
    Py_ssize_t size = PyUnicode_GET_LENGTH(path), begin;
    if (size > 5 && memcmp(signs, "/f/a/", 5) == 0)
        begin = 5;
    else if (size > 3 && memcmp(signs, "/q/", 3) == 0)
        begin = 3;
    else
        return -1;
    *is_click = begin == 5;
    if (!is_letter(signs[size - 1]) && !is_digit(signs[size - 1]))
        return -1;
    return decode(signs + begin, size - begin, raw);
}

/* The payload, None for a forged token, NULL with an exception set. */
static PyObject *decrypted(PyObject *decrypt, const void *sealed, Py_ssize_t size, PyObject *associated)
{
    PyObject *bytes = PyBytes_FromStringAndSize(sealed, size);
    if (bytes == NULL)
        return NULL;
    PyObject *given[] = {NULL, bytes, associated};
    PyObject *packed = PyObject_Vectorcall(decrypt, given + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(bytes);
    if (packed == NULL && PyErr_ExceptionMatches(invalid_tag)) {
        PyErr_Clear();
        packed = Py_NewRef(Py_None);
    }
    return packed;
}

/* The target as bytes, None where it is not common, NULL with an exception set. */
static PyObject *target_of(const Peeked *seen)
{
    unsigned char target[MAX_TARGET + 16];
    size_t before = prefixes[seen->flags & 3].size;
    if (seen->rest_size > MAX_TARGET)
        return Py_NewRef(Py_None);
    memcpy(target, prefixes[seen->flags & 3].text, before);
    memcpy(target + before, seen->rest, seen->rest_size);
    Py_ssize_t size = (Py_ssize_t)(before + seen->rest_size);
    return is_common(target, size) ? PyBytes_FromStringAndSize((char *)target, size) : Py_NewRef(Py_None);
}

/* What `read` returns for a genuine token of this kind and payload. */
static PyObject *opened_link(PyObject *kind, PyObject *packed, int is_click)
{
    Peeked seen;
    if (!PyBytes_CheckExact(packed) ||
        !peek((const unsigned char *)PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed), is_click, &seen))
        return Py_NewRef(Py_None);
    PyObject *target = is_click ? target_of(&seen) : PyBytes_FromStringAndSize(NULL, 0);
    if (target == NULL || target == Py_None)
        return target;
    PyObject *issued = PyLong_FromLongLong(seen.issued);
    PyObject *expiry = PyLong_FromLongLong(seen.issued + YEAR + seen.life);
    PyObject *opened = NULL;
    if (issued != NULL && expiry != NULL)
        opened = PyTuple_Pack(6, kind, packed, issued, expiry, target, Py_False);
    Py_XDECREF(issued);
    Py_XDECREF(expiry);
    Py_DECREF(target);
    return opened;
}

static PyObject *read_common(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    unsigned char raw[MAX_RAW];
    int is_click;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "read takes a path and what opens tokens");
        return NULL;
    }
    Py_ssize_t size = token_of(arguments[0], &is_click, raw);
    if (size < 0)
        Py_RETURN_NONE;
    PyObject *clear = PyBytes_FromStringAndSize((const char *)raw, HEADER);
    PyObject *opener = clear == NULL ? NULL : PyObject_GetItem(arguments[1], clear);
    Py_XDECREF(clear);
    if (opener == NULL || opener == Py_None)
        return opener;
    PyObject *kind, *decrypt, *associated, *packed = NULL, *result = NULL;
    if (PyArg_ParseTuple(opener, "OOO", &kind, &decrypt, &associated)) {
        long number = PyLong_AsLong(kind);
        if (number < 0 || number > 31 || !((is_click ? CLICKS : OPENS) >> number & 1))
            result = PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
        else
            packed = decrypted(decrypt, raw + HEADER, size - HEADER, associated);
    }
    if (packed != NULL)
        result = packed == Py_None ? Py_NewRef(packed) : opened_link(kind, packed, is_click);
    Py_XDECREF(packed);
    Py_DECREF(opener);
    return result;
}

static PyMethodDef functions[] = {
    {"read", (PyCFunction)(void (*)(void))read_common, METH_FASTCALL, PyDoc_STR("As fast_open.read_by_parts.")},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_open", NULL, 0, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__open(void)
{
    prepare_values();
    PyObject *exceptions = PyImport_ImportModule("cryptography.exceptions");
    invalid_tag = exceptions == NULL ? NULL : PyObject_GetAttrString(exceptions, "InvalidTag");
    Py_XDECREF(exceptions);
    return invalid_tag == NULL ? NULL : PyModule_Create(&module);
}

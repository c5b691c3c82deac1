/* Sealing links, in C: the payload, the base64 and the URL around a cipher that is Python's.

Not a second authority: each function has its twin in Python (`token.seal_by_parts`,
`fast_seal.seal_common_by_parts`), which is used where this was not built, and which
tests/unit/test_native_seal.py compares it with. After None, or a stop before the end, the caller uses the twin.
Why: docs/decisions/0015-native-rewriting.md.

Invariants: nothing is read or written past the end of what was given; no target is sealed whose origin is not
among those given; nothing is kept between two calls. No cipher is here. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

enum { HEADER = 4, TAG = 16, MAX_PAYLOAD = 8192, MAX_TARGET = 4096 };
enum { AFTER_SCHEME = 8 }; /* a path's slash is here at the earliest: a host has a letter at least */
enum { NIL = 0xc0, BIN8 = 0xc4, BIN16 = 0xc5, UINT8 = 0xcc, UINT16 = 0xcd, UINT32 = 0xce, ARRAY = 0x90 };
enum { PLACE_STEP = 16, MAX_FLAGS = (1 << 21) - 1 }; /* as in `payload` */

/* What all tokens of one copy and kind share, `token.Sealing`. All borrowed. */
typedef struct {
    PyObject *header, *identity, *encrypt, *associated;
} Sealing;

/* A packed link: its first bytes, then what stands in the target behind them. */
typedef struct {
    unsigned char head[9];
    Py_ssize_t head_size, rest_size;
    const char *rest;
} Packed;

static const struct {
    const char *text;
    Py_ssize_t size;
} prefixes[] = {{"", 0}, {"http://", 7}, {"https://", 8}, {"https://www.", 12}};

static int take_sealing(PyObject *given, Sealing *to)
{
    if (!PyTuple_Check(given) || PyTuple_GET_SIZE(given) != 4)
        goto wrong;
    to->header = PyTuple_GET_ITEM(given, 0);
    to->identity = PyTuple_GET_ITEM(given, 1);
    to->encrypt = PyTuple_GET_ITEM(given, 2);
    to->associated = PyTuple_GET_ITEM(given, 3);
    if (PyBytes_Check(to->header) && PyBytes_GET_SIZE(to->header) == HEADER && PyBytes_Check(to->identity))
        return 1;
wrong:
    PyErr_SetString(PyExc_TypeError, "a Sealing has a header of 4 bytes, an identity, what encrypts, a list");
    return 0;
}

/* So many bytes of a number, big-endian; returns what is behind them. */
static unsigned char *put_number(unsigned char *to, unsigned long number, int bytes)
{
    while (bytes--)
        *to++ = (unsigned char)(number >> 8 * bytes);
    return to;
}

/* A link that says nothing but its target and place, as `payload.pack_target` packs it. */
static void pack(const char *target, Py_ssize_t size, unsigned long place, Packed *to)
{
    int prefix = 3;
    while (size < prefixes[prefix].size ||
           memcmp(target, prefixes[prefix].text, (size_t)prefixes[prefix].size) != 0)
        prefix--; /* the first one is empty */
    to->rest = target + prefixes[prefix].size;
    to->rest_size = size - prefixes[prefix].size;
    unsigned long flags = place | (unsigned long)prefix, rest = (unsigned long)to->rest_size;
    unsigned char *head = to->head;
    *head++ = ARRAY | 2;
    if (flags >= 128)
        *head++ = flags < 1 << 8 ? UINT8 : flags < 1 << 16 ? UINT16 : UINT32;
    head = put_number(head, flags, flags < 1 << 8 ? 1 : flags < 1 << 16 ? 2 : 4);
    *head++ = rest < 256 ? BIN8 : BIN16; /* MAX_TARGET is below 65536 */
    head = put_number(head, rest, rest < 256 ? 1 : 2);
    to->head_size = head - to->head;
}

/* The payload's size, filler and all; 0 where it is over its bound. */
static Py_ssize_t payload_size(const Sealing *of, const Packed *link)
{
    Py_ssize_t identity = PyBytes_GET_SIZE(of->identity);
    if (identity > MAX_PAYLOAD || link->rest_size > MAX_PAYLOAD)
        return 0;
    Py_ssize_t size = 1 + identity + link->head_size + link->rest_size;
    size += (HEADER + TAG + size) % 3 == 0; /* else any sign could stand last, also one that is no letter */
    return size <= MAX_PAYLOAD ? size : 0;
}

/* The payload of that size, `payload.payload`. */
static PyObject *payload_of(const Sealing *of, const Packed *link, Py_ssize_t size)
{
    PyObject *payload = PyBytes_FromStringAndSize(NULL, size);
    if (payload == NULL)
        return NULL;
    Py_ssize_t identity = PyBytes_GET_SIZE(of->identity), link_size = link->head_size + link->rest_size;
    int filler = size > 1 + identity + link_size;
    unsigned char *to = (unsigned char *)PyBytes_AS_STRING(payload);
    *to++ = (unsigned char)(ARRAY | (1 + (link_size > 0) + filler));
    memcpy(to, PyBytes_AS_STRING(of->identity), (size_t)identity);
    to += identity;
    memcpy(to, link->head, (size_t)link->head_size);
    to += link->head_size;
    memcpy(to, link->rest, (size_t)link->rest_size);
    if (filler)
        to[link->rest_size] = NIL;
    return payload;
}

/* How many signs of base64url (RFC 4648 5) so many bytes are, without padding. */
static Py_ssize_t signs_of(Py_ssize_t bytes) { return bytes / 3 * 4 + (bytes % 3 ? bytes % 3 + 1 : 0); }

static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *put_signs(char *to, const unsigned char *at, Py_ssize_t size)
{
    for (; size >= 3; size -= 3, at += 3) {
        *to++ = signs[at[0] >> 2];
        *to++ = signs[(at[0] & 3) << 4 | at[1] >> 4];
        *to++ = signs[(at[1] & 15) << 2 | at[2] >> 6];
        *to++ = signs[at[2] & 63];
    }
    if (size > 0) {
        *to++ = signs[at[0] >> 2];
        *to++ = signs[(at[0] & 3) << 4 | (size > 1 ? at[1] >> 4 : 0)];
        if (size > 1)
            *to++ = signs[(at[1] & 15) << 2];
    }
    return to;
}

/* prefix (NULL for none) and token; None where it is out of bounds, also longer than most, or the cipher is
another one; NULL with an exception set. */
static PyObject *spelled(const Sealing *of, const Packed *link, PyObject *prefix, Py_ssize_t most)
{
    Py_ssize_t before = prefix == NULL ? 0 : PyBytes_GET_SIZE(prefix), size = payload_size(of, link);
    if (size == 0 || before > most || signs_of(HEADER + TAG + size) > most - before)
        Py_RETURN_NONE;
    PyObject *payload = payload_of(of, link, size);
    if (payload == NULL)
        return NULL;
    PyObject *arguments[] = {NULL, payload, of->associated};
    size_t two = 2 | PY_VECTORCALL_ARGUMENTS_OFFSET;
    PyObject *sealed = PyObject_Vectorcall(of->encrypt, arguments + 1, two, NULL);
    Py_DECREF(payload);
    if (sealed == NULL)
        return NULL;
    if (!PyBytes_Check(sealed) || PyBytes_GET_SIZE(sealed) != TAG + size) {
        Py_DECREF(sealed);
        Py_RETURN_NONE;
    }
    PyObject *text = PyBytes_FromStringAndSize(NULL, before + signs_of(HEADER + TAG + size));
    if (text != NULL) {
        const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(sealed);
        unsigned char start[6]; /* the header and as many bytes more as are whole threes */
        memcpy(start, PyBytes_AS_STRING(of->header), HEADER);
        memcpy(start + HEADER, bytes, 2);
        char *to = PyBytes_AS_STRING(text);
        if (prefix != NULL)
            memcpy(to, PyBytes_AS_STRING(prefix), (size_t)before);
        to = put_signs(to + before, start, 6);
        put_signs(to, bytes + 2, TAG + size - 2);
    }
    Py_DECREF(sealed);
    return text;
}

static PyObject *seal(PyObject *Py_UNUSED(module), PyObject *const *given, Py_ssize_t count)
{
    Sealing sealing;
    if (count != 2 || !PyBytes_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError, "seal takes a Sealing and a packed link");
        return NULL;
    }
    if (!take_sealing(given[0], &sealing))
        return NULL;
    Packed link = {{0}, 0, PyBytes_GET_SIZE(given[1]), PyBytes_AS_STRING(given[1])};
    return spelled(&sealing, &link, NULL, PY_SSIZE_T_MAX);
}

/* --- a run of common links --- */

/* What `seal_common` was given. All borrowed, but for last: the origin found last among origins, or NULL. */
typedef struct {
    Sealing sealing;
    PyObject *prefix, *origins, *last;
    Py_ssize_t most;
    long place;
} Run;

/* Whether what stands before the path is among the origins: 1, 0, or -1 with an exception set. */
static int is_of_origins(Run *of, const char *origin, Py_ssize_t size)
{
    if (of->last != NULL && PyBytes_GET_SIZE(of->last) == size &&
        memcmp(PyBytes_AS_STRING(of->last), origin, (size_t)size) == 0)
        return 1;
    PyObject *candidate = PyBytes_FromStringAndSize(origin, size);
    int found = candidate == NULL ? -1 : PySet_Contains(of->origins, candidate);
    if (found > 0)
        Py_XSETREF(of->last, candidate);
    else
        Py_XDECREF(candidate);
    return found;
}

/* As `fast_seal._is_common`: 1, 0, or -1 with an exception set. */
static int is_common(Run *of, const char *target, Py_ssize_t size)
{
    if (size <= AFTER_SCHEME || size > MAX_TARGET)
        return 0;
    const char *slash = memchr(target + AFTER_SCHEME, '/', (size_t)(size - AFTER_SCHEME));
    if (slash == NULL)
        return 0;
    int unfit = 0;
    for (Py_ssize_t at = 0; at < size; at++)
        unfit |= target[at] < '!' || target[at] > '~' || target[at] == '\\' || target[at] == '{';
    return unfit ? 0 : is_of_origins(of, target, slash - target);
}

/* The URL of a target at that place; None where it is not common; NULL with an exception set. */
static PyObject *url_of(Run *of, PyObject *target)
{
    if (!PyBytes_CheckExact(target) || of->place + PLACE_STEP > MAX_FLAGS)
        Py_RETURN_NONE;
    int common = is_common(of, PyBytes_AS_STRING(target), PyBytes_GET_SIZE(target));
    if (common <= 0)
        return common == 0 ? Py_NewRef(Py_None) : NULL;
    Packed link;
    pack(PyBytes_AS_STRING(target), PyBytes_GET_SIZE(target), (unsigned long)of->place, &link);
    of->place += PLACE_STEP;
    return spelled(&of->sealing, &link, of->prefix, of->most);
}

/* The arguments of `seal_common`: its twin in Python says what they are. */
static int take_run(PyObject *const *given, Py_ssize_t count, Run *to)
{
    if (count != 6 || !PyBytes_Check(given[1]) || !PyLong_Check(given[2]) || !PyAnySet_Check(given[3]) ||
        !PyLong_Check(given[4]) || !PyList_Check(given[5])) {
        PyErr_SetString(PyExc_TypeError, "seal_common takes a Sealing, bytes, int, set, int and list");
        return 0;
    }
    to->prefix = given[1];
    to->most = PyLong_AsSsize_t(given[2]);
    to->origins = given[3];
    to->place = PyLong_AsLong(given[4]);
    to->last = NULL;
    if ((to->most == -1 || to->place == -1) && PyErr_Occurred())
        return 0;
    if (to->place < 0 || to->place > MAX_FLAGS || to->place & 7) {
        PyErr_SetString(PyExc_ValueError, "no place of a link");
        return 0;
    }
    return take_sealing(given[0], &to->sealing);
}

static PyObject *seal_common(PyObject *Py_UNUSED(module), PyObject *const *given, Py_ssize_t count)
{
    Run run;
    if (!take_run(given, count, &run))
        return NULL;
    PyObject *targets = given[5], *urls = PyList_New(0), *url = NULL;
    /* The list's size is read again: what encrypts may let another thread run. */
    for (Py_ssize_t at = 0; urls != NULL && at < PyList_GET_SIZE(targets); at++) {
        PyObject *target = Py_NewRef(PyList_GET_ITEM(targets, at));
        url = url_of(&run, target);
        Py_DECREF(target);
        if (url == Py_None)
            break;
        if (url == NULL || PyList_Append(urls, url) < 0)
            Py_CLEAR(urls);
        Py_CLEAR(url);
    }
    Py_XDECREF(url);
    Py_XDECREF(run.last);
    return urls;
}

static PyMethodDef functions[] = {
    {"seal", (PyCFunction)(void (*)(void))seal, METH_FASTCALL, PyDoc_STR("As token.seal_by_parts.")},
    {"seal_common", (PyCFunction)(void (*)(void))seal_common, METH_FASTCALL,
     PyDoc_STR("As fast_seal.seal_common_by_parts.")},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_seal", NULL, 0, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__seal(void) { return PyModule_Create(&module); }

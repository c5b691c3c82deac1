// What postal-mime and mailparser see in mails: each name read from standard input is a file below the folder
// given, and one line of JSON is written for it, {"postal-mime": [leaf…], "mailparser": [leaf…]}, or a word in
// place of the leaves where a reader refuses the mail.
// A leaf: {type, place, name, text} of what is shown, {type, place, name, bytes} of what is attached.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [modules, folder] = process.argv.slice(2);
const load = path => import(pathToFileURL(join(modules, path)).href);
const { default: PostalMime } = await load('postal-mime/dist/esm/postal-mime.js');
const { MailParser } = await load('mailparser/dist/esm/index.js');

async function postalMime(raw) {
    const parser = new PostalMime({ forceRfc822Attachments: true });
    await parser.parse(raw);
    const leaves = [];
    const walk = (node, place) => {
        const type = node.contentType.parsed.value;
        if (!node.contentType.multipart) {
            const shown = parser.isInlineTextNode(node);
            const name = node.contentDisposition.parsed.params.filename || node.contentType.parsed.params.name || '';
            const content = Buffer.from(node.content || new ArrayBuffer(0));
            leaves.push({ type, place, name, ...(shown ? { text: node.getTextContent() } : { bytes: content.toString('latin1') }) });
        }
        node.childNodes.forEach((child, number) => walk(child, `${place}.${number}`));
    };
    walk(parser.root, '');
    return leaves;
}

function mailparser(raw) {
    return new Promise((resolve, reject) => {
        const parser = new MailParser({ skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true, skipTextLinks: true, checksumAlgo: false });
        const attached = [];
        parser.on('error', reject);
        parser.on('data', item => {
            if (item.type !== 'attachment') {
                return;
            }
            const chunks = [];
            item.content.on('data', chunk => chunks.push(chunk));
            item.content.on('error', reject);
            item.content.on('end', () => {
                attached.push({ type: item.contentType, place: item.partId || '1', name: item.filename || '', bytes: Buffer.concat(chunks).toString('latin1') });
                item.release();
            });
        });
        parser.on('end', () => {
            const leaves = [];
            const walk = (node, place) => {
                if (node.textContent !== undefined) {
                    leaves.push({ type: node.contentType, place, name: node.node.filename || '', text: node.textContent });
                }
                node.children.forEach((child, number) => walk(child, `${place}.${number}`));
            };
            if (parser.tree) {
                walk(parser.tree, '');
            }
            resolve([...leaves, ...attached]);
        });
        parser.end(raw);
    });
}

const refusal = error => `refused: ${error.message}`;
for await (const name of createInterface({ input: process.stdin })) {
    const raw = readFileSync(join(folder, name));
    const seen = { 'postal-mime': await postalMime(raw).catch(refusal), mailparser: await mailparser(raw).catch(refusal) };
    process.stdout.write(JSON.stringify(seen) + '\n');
}

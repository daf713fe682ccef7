export interface Attachment {
  id: string;
  name: string;
  mimeType: string;
  /** Base64. */
  data: string;
}

const maxBytes = 5 * 1024 * 1024;
const kinds = /^image\/(png|jpeg|gif|webp)$/;

/** Reads pictures for a prompt. Throws for what no agent could take. */
export async function readAttachment(file: File): Promise<Attachment> {
  if (!kinds.test(file.type)) throw new Error(`${file.name} is not a PNG, JPEG, GIF or WebP image`);
  if (file.size > maxBytes) throw new Error(`${file.name} is larger than 5 MiB`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  let binary = '';
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return { id: crypto.randomUUID(), name: file.name, mimeType: file.type, data: btoa(binary) };
}

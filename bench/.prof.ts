import { createOciProvider } from '/work/main/src/sandbox/providers/oci/oci.ts';
import { createRunnerClient } from '/work/main/src/sandbox/runner-client/index.ts';
const p = createOciProvider({ dataDir: '/var/tmp/berth-prof' });
const signal = new AbortController().signal;
const med=(a:number[])=>a.toSorted((x,y)=>x-y)[a.length>>1]!;
const cs:number[]=[],es:number[]=[],ds:number[]=[],ks:number[]=[];
for (let i=0;i<Number(process.argv[2]??15);i++){
 const id='sbx_p'+i;
 const t0=performance.now();
 await p.create({id,template:'default',limits:{cpus:1,memoryBytes:1<<30,pids:512,diskBytes:1<<30},network:'none',labels:{},runnerToken:'t',env:{}},{signal});
 const t1=performance.now();
 const c=createRunnerClient({dial:(port,o)=>p.dial(id,port,o),token:'t'});
 await c.exec({argv:['true']},signal);
 const t2=performance.now();
 for(let k=0;k<10;k++){const a=performance.now(); await c.exec({argv:['true']},signal); ks.push(performance.now()-a);}
 c.close();
 const t3=performance.now();
 await p.destroy(id,{signal});
 const t4=performance.now();
 cs.push(t1-t0);es.push(t2-t1);ds.push(t4-t3);
}
console.log({create:med(cs),first:med(es),exec:med(ks),destroy:med(ds),min:Math.min(...cs)});
await p.close();
